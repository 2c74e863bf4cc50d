#include "data/tinyworld/world.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/error.h"
#include "data/tinyworld/draws.h"

namespace martlet::data::tinyworld {
namespace {

// Up to here everyone has a first name of their own, whatever the seed: a family has at most six of one sex,
// and there are 24 names of each. In a larger world families have names too.
constexpr int64_t kPeopleWithoutSurnames = 32;
constexpr int64_t kFewestTowns = 6;
constexpr int64_t kPeoplePerTown = 4;

std::vector<int32_t> shuffled(Draws& draws, size_t count) {
  std::vector<int32_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  draws.shuffle(order);
  return order;
}

template <typename List>
int32_t any_of(Draws& draws, const List& list) {
  return static_cast<int32_t>(draws.below(static_cast<int64_t>(list.size())));
}

/// Sexes and ages of a family, each generation within its decade; brothers and sisters never share an age.
void make_family(Draws& draws, std::span<Person> family) {
  const bool second_female = draws.one_in(2);
  family[0].female = false;
  family[1].female = true;
  family[2].female = second_female;
  family[3].female = !second_female;
  for (const size_t member : {4, 5, 6, 7}) family[member].female = draws.one_in(2);
  family[0].age = static_cast<int32_t>(draws.within(70, 79));
  family[1].age = static_cast<int32_t>(draws.within(70, 79));
  std::vector<int32_t> middle = shuffled(draws, 10);
  for (const size_t member : {2, 3, 4}) family[member].age = 42 + middle[member];
  std::vector<int32_t> young = shuffled(draws, 10);
  for (const size_t member : {5, 6, 7}) family[member].age = 18 + young[member];
}

}  // namespace

World::World(uint64_t seed, int64_t people) {
  if (people < 1 || people > kMaximumPeople)
    fail(ErrorCode::kUsage, "a tinyworld has 1 to {} people, not {}", kMaximumPeople, people);
  const int64_t rounded = (people + kFamily - 1) / kFamily * kFamily;
  surnames_ = rounded > kPeopleWithoutSurnames;

  Draws town_draws(seed, "tinyworld/towns", 0);
  const auto most = static_cast<int64_t>(town_beginnings().size() * town_endings().size());
  const std::vector<int32_t> beginnings = shuffled(town_draws, town_beginnings().size());
  const std::vector<int32_t> endings = shuffled(town_draws, town_endings().size());
  towns_.resize(static_cast<size_t>(std::clamp(rounded / kPeoplePerTown, kFewestTowns, most)));
  for (size_t i = 0; i < towns_.size(); ++i) {
    Town& town = towns_[i];
    // No two pairs are equal: towns with one beginning are beginnings.size() apart, which moves the ending
    // on.
    town.beginning = beginnings[i % beginnings.size()];
    town.ending = endings[(i + i / beginnings.size()) % endings.size()];
    town.country = any_of(town_draws, countries());
    town.landmark = any_of(town_draws, landmarks());
    town.day = any_of(town_draws, days());
    town.hour = static_cast<int32_t>(town_draws.within(6, 11));
  }

  Draws price_draws(seed, "tinyworld/prices", 0);
  for (size_t i = 0; i < things().size(); ++i)
    prices_.push_back(static_cast<int32_t>(price_draws.within(2, 12)));

  people_.resize(static_cast<size_t>(rounded));
  Draws name_draws(seed, "tinyworld/names", 0);
  surname_offset_ = static_cast<uint64_t>(name_draws.below(1 << 20));
  std::array<std::vector<int32_t>, 2> names{shuffled(name_draws, men().size()),
                                            shuffled(name_draws, women().size())};
  std::array<size_t, 2> used{0, 0};
  for (int64_t first = 0; first < rounded; first += kFamily) {
    Draws draws(seed, "tinyworld/families", static_cast<uint64_t>(first / kFamily));
    const std::span<Person> family = std::span(people_).subspan(static_cast<size_t>(first), kFamily);
    make_family(draws, family);
    if (surnames_) names = {shuffled(draws, men().size()), shuffled(draws, women().size())}, used = {0, 0};
    for (Person& person : family) {
      const size_t sex = person.female ? 1 : 0;
      person.name = names[sex][used[sex]++];
      person.town = static_cast<int32_t>(draws.below(towns()));
      person.job = any_of(draws, jobs());
      person.colour = any_of(draws, colours());
      person.food = any_of(draws, foods());
      person.animal = any_of(draws, animals());
      person.month = any_of(draws, months());
    }
  }
}

World::Parents World::parents(int64_t index) const {
  const int64_t member = index % kFamily;
  const int64_t first = index - member;
  if (member == 2 || member == 4) return {first, first + 1};
  if (member < 5) return {};
  return person(first + 2).female ? Parents{first + 3, first + 2} : Parents{first + 2, first + 3};
}

std::vector<int64_t> World::children(int64_t index) const {
  const int64_t member = index % kFamily;
  const int64_t first = index - member;
  if (member <= 1) return {first + 2, first + 4};
  if (member <= 3) return {first + 5, first + 6, first + 7};
  return {};
}

std::vector<int64_t> World::siblings(int64_t index, bool sisters, std::optional<bool> older) const {
  std::vector<int64_t> found;
  const int64_t father = index < 0 ? -1 : parents(index).father;
  if (father < 0) return found;
  for (const int64_t child : children(father)) {
    if (child == index || person(child).female != sisters) continue;
    if (older && (person(child).age > person(index).age) != *older) continue;
    found.push_back(child);
  }
  return found;
}

std::vector<int64_t> World::relatives(int64_t index, Kin kin) const {
  const Parents own = parents(index);
  const auto parents_of = [&](int64_t who) { return who < 0 ? Parents{} : parents(who); };
  const auto one = [](int64_t who) { return who < 0 ? std::vector<int64_t>{} : std::vector<int64_t>{who}; };
  const auto spouse = [&](bool wife) -> std::vector<int64_t> {
    const int64_t member = index % kFamily;
    if (member > 3) return {};
    const int64_t other = index - member + (member ^ 1);
    return person(other).female == wife ? one(other) : std::vector<int64_t>{};
  };
  const auto offspring = [&](bool female) {
    std::vector<int64_t> found = children(index);
    std::erase_if(found, [&](int64_t child) { return person(child).female != female; });
    return found;
  };
  switch (kin) {
    case Kin::kFather:
      return one(own.father);
    case Kin::kMother:
      return one(own.mother);
    case Kin::kHusband:
      return spouse(false);
    case Kin::kWife:
      return spouse(true);
    case Kin::kSon:
      return offspring(false);
    case Kin::kDaughter:
      return offspring(true);
    case Kin::kOlderBrother:
      return siblings(index, false, true);
    case Kin::kYoungerBrother:
      return siblings(index, false, false);
    case Kin::kOlderSister:
      return siblings(index, true, true);
    case Kin::kYoungerSister:
      return siblings(index, true, false);
    case Kin::kFathersFather:
      return one(parents_of(own.father).father);
    case Kin::kFathersMother:
      return one(parents_of(own.father).mother);
    case Kin::kMothersFather:
      return one(parents_of(own.mother).father);
    case Kin::kMothersMother:
      return one(parents_of(own.mother).mother);
    case Kin::kFathersOlderBrother:
      return siblings(own.father, false, true);
    case Kin::kFathersYoungerBrother:
      return siblings(own.father, false, false);
    case Kin::kFathersSister:
      return siblings(own.father, true, {});
    case Kin::kMothersBrother:
      return siblings(own.mother, false, {});
    case Kin::kMothersSister:
      return siblings(own.mother, true, {});
  }
  return {};
}

int64_t World::count(Category category) const {
  const auto size = [](const auto& list) { return static_cast<int64_t>(list.size()); };
  switch (category) {
    case Category::kPerson:
      return people();
    case Category::kTown:
      return towns();
    case Category::kCountry:
      return size(countries());
    case Category::kJob:
    case Category::kWorkplace:
      return size(jobs());
    case Category::kColour:
      return size(colours());
    case Category::kFood:
      return size(foods());
    case Category::kAnimal:
      return size(animals());
    case Category::kMonth:
      return size(months());
    case Category::kDay:
      return size(days());
    case Category::kLandmark:
      return size(landmarks());
    case Category::kThing:
      return size(things());
    case Category::kRoom:
      return size(rooms());
    case Category::kNumber:
    case Category::kHour:
      return 0;
  }
  return 0;
}

std::string World::person_name(int64_t index, Language language) const {
  const Person& who = person(index);
  const Word& first = (who.female ? women() : men())[static_cast<size_t>(who.name)];
  std::string name(first.in(language));
  if (!surnames_) return name;
  // The family's number, scattered, in the base of the syllables; at least two syllables.
  const std::span<const Word> syllables = family_syllables();
  const uint64_t base = syllables.size();
  uint64_t number = static_cast<uint64_t>(index / kFamily) + surname_offset_ % base;
  std::string surname;
  for (int syllable = 0; syllable < 2 || number > 0; ++syllable, number /= base)
    surname += syllables[number % base].in(language);
  name += language == Language::kEnglish ? " " : "·";
  return name + (language == Language::kEnglish ? sentence_case(surname) : surname);
}

std::string World::name(Category category, int64_t index, Language language) const {
  const auto i = static_cast<size_t>(index);
  const auto word = [&](std::span<const Word> list) { return std::string(list[i].in(language)); };
  switch (category) {
    case Category::kPerson:
      return person_name(index, language);
    case Category::kTown:
      return fmt::format("{}{}", town_beginnings()[static_cast<size_t>(town(index).beginning)].in(language),
                         town_endings()[static_cast<size_t>(town(index).ending)].in(language));
    case Category::kCountry:
      return word(countries());
    case Category::kJob:
      return std::string(jobs()[i].name.in(language));
    case Category::kWorkplace:
      return std::string(jobs()[i].workplace.in(language));
    case Category::kColour:
      return word(colours());
    case Category::kFood:
      return word(foods());
    case Category::kAnimal:
      return word(animals());
    case Category::kMonth:
      return word(months());
    case Category::kDay:
      return word(days());
    case Category::kLandmark:
      return word(landmarks());
    case Category::kThing:
      return std::string(things()[i].name.in(language));
    case Category::kRoom:
      return word(rooms());
    case Category::kNumber:
    case Category::kHour:
      return std::to_string(index);
  }
  return {};
}

}  // namespace martlet::data::tinyworld
