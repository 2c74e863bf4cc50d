// The world of tinyworld: its families, names and facts hold together in every size.

#include <gtest/gtest.h>
#include <set>

#include "data/tinyworld/relations.h"

namespace martlet::data::tinyworld {
namespace {

TEST(World, EveryoneHasAName) {
  for (const int64_t people : {8, 24, 32, 40, 5000}) {
    const World world(7, people);
    ASSERT_EQ(world.people(), people);
    for (const Language language : kLanguages) {
      std::set<std::string> names;
      for (int64_t i = 0; i < people; ++i) names.insert(world.name(Category::kPerson, i, language));
      EXPECT_EQ(names.size(), static_cast<size_t>(people));
      std::set<std::string> towns;
      for (int64_t i = 0; i < world.towns(); ++i) towns.insert(world.name(Category::kTown, i, language));
      EXPECT_EQ(towns.size(), static_cast<size_t>(world.towns()));
    }
  }
}

TEST(World, SmallerWorldsRoundUpToFamilies) {
  EXPECT_EQ(World(1, 1).people(), 8);
  EXPECT_EQ(World(1, 9).people(), 16);
}

TEST(World, KinshipHoldsBothWays) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const World world(seed, 24);
    const auto only = [&](int64_t person, Kin kin) {
      const std::vector<int64_t> found = world.relatives(person, kin);
      return found.size() == 1 ? found.front() : -1;
    };
    for (int64_t person = 0; person < world.people(); ++person) {
      for (const Kin kin : {Kin::kHusband, Kin::kWife}) {
        const int64_t other = only(person, kin);
        if (other < 0) continue;
        EXPECT_EQ(only(other, kin == Kin::kHusband ? Kin::kWife : Kin::kHusband), person);
        EXPECT_NE(world.person(person).female, world.person(other).female);
      }
      const int64_t father = only(person, Kin::kFather);
      if (father >= 0) {
        EXPECT_FALSE(world.person(father).female);
        EXPECT_GT(world.person(father).age, world.person(person).age + 10);
        EXPECT_EQ(only(father, Kin::kWife), only(person, Kin::kMother));
        const auto children =
            world.relatives(father, world.person(person).female ? Kin::kDaughter : Kin::kSon);
        EXPECT_TRUE(std::find(children.begin(), children.end(), person) != children.end());
        // Exactly one side of the family is known.
        EXPECT_FALSE(only(person, Kin::kFathersFather) >= 0 && only(person, Kin::kMothersFather) >= 0);
      }
      for (const int64_t brother : world.relatives(person, Kin::kOlderBrother)) {
        EXPECT_FALSE(world.person(brother).female);
        EXPECT_GT(world.person(brother).age, world.person(person).age);
        const auto back = world.relatives(
            brother, world.person(person).female ? Kin::kYoungerSister : Kin::kYoungerBrother);
        EXPECT_TRUE(std::find(back.begin(), back.end(), person) != back.end());
      }
      for (const int64_t uncle : world.relatives(person, Kin::kFathersYoungerBrother))
        EXPECT_LT(world.person(uncle).age, world.person(father).age);
      for (const int64_t aunt : world.relatives(person, Kin::kMothersSister)) {
        EXPECT_TRUE(world.person(aunt).female);
        EXPECT_EQ(only(aunt, Kin::kMother), only(only(person, Kin::kMother), Kin::kMother));
      }
    }
  }
}

TEST(World, EveryFamilyHasGrandparentsKnownToTheChildren) {
  const World world(3, 80);
  for (int64_t person = 5; person < world.people(); person += World::kFamily) {
    const bool by_father = !world.relatives(person, Kin::kFathersFather).empty();
    const std::vector<int64_t> grandfather =
        world.relatives(person, by_father ? Kin::kFathersFather : Kin::kMothersFather);
    EXPECT_EQ(grandfather, (std::vector<int64_t>{person - 5}));
  }
}

TEST(Relations, OtherValuesAreFalse) {
  const World world(5, 24);
  Draws draws(1, "test", 0);
  for (int i = 0; i < 5000; ++i) {
    const Fact fact = draw_fact(world, draws);
    EXPECT_EQ(fact_of(world, fact.relation, fact.subject)->value, fact.value);
    const int64_t other = draw_other_value(world, draws, fact);
    EXPECT_NE(other, fact.value);
    const Category category = relation(fact.relation).value;
    if (world.count(category) > 0) {
      EXPECT_LT(other, world.count(category));
    }
    EXPECT_GE(other, 0);
  }
}

TEST(Relations, WordingsOfAFactAllNameSubjectAndValue) {
  const World world(5, 24);
  Draws draws(2, "test", 0);
  for (int i = 0; i < 2000; ++i) {
    const Fact fact = draw_fact(world, draws);
    for (const Language language : kLanguages) {
      std::set<std::string> different;
      for (int64_t wording = 0; wording < 4; ++wording) {
        const std::string text = state(world, fact, language, wording);
        // The first letter may have become a capital.
        EXPECT_NE(text.find(subject_name(world, fact, language).substr(1)), std::string::npos) << text;
        EXPECT_NE(text.find(value_name(world, fact, language).substr(1)), std::string::npos) << text;
        EXPECT_EQ(text.find('{'), std::string::npos) << text;
        different.insert(text);
      }
      EXPECT_EQ(different.size(), 4u);
    }
  }
}

TEST(Relations, ASubjectWithTwoSonsHasNoSon) {
  bool seen = false;
  for (uint64_t seed = 1; seed < 30; ++seed) {
    const World world(seed, 8);
    for (int64_t person = 0; person < 8; ++person) {
      const int number = kFirstKin + static_cast<int>(Kin::kSon);
      const size_t sons = world.relatives(person, Kin::kSon).size();
      EXPECT_EQ(fact_of(world, number, person).has_value(), sons == 1);
      seen = seen || sons > 1;
    }
  }
  EXPECT_TRUE(seen);
}

}  // namespace
}  // namespace martlet::data::tinyworld
