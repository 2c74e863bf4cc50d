// Plain documents: statements, and stories that move among them. Everything they say of the world is true.

#include <algorithm>

#include "data/tinyworld/kinds.h"

namespace martlet::data::tinyworld {
namespace {

std::vector<std::string> facts_about_person(const World& world, Draws& draws, Language language) {
  const int64_t person = draws.below(world.people());
  std::vector<Fact> known;
  for (int number = kHasHome; number <= kHasBirthday; ++number)
    known.push_back(*fact_of(world, number, person));
  for (int number = kFirstKin; number < kRelationCount; ++number)
    if (const std::optional<Fact> fact = fact_of(world, number, person)) known.push_back(*fact);
  draws.shuffle(known);
  known.resize(static_cast<size_t>(draws.within(3, 6)));
  std::vector<std::string> sentences;
  for (const Fact& fact : known) sentences.push_back(state(world, fact, language, draws.below(4)));
  return sentences;
}

std::vector<std::string> mixed_facts(const World& world, Draws& draws, Language language) {
  // What the other form leaves out gets the larger share.
  constexpr double kShares[] = {0.1, 0.15, 0.35, 0.28, 0.12};  // in the order of FactGroup
  std::vector<std::string> sentences;
  for (int64_t left = draws.within(2, 5); left > 0; --left) {
    const Fact fact = draw_fact(world, draws, static_cast<FactGroup>(draws.weighted(kShares)));
    sentences.push_back(state(world, fact, language, draws.below(4)));
  }
  return sentences;
}

// {0} the hero, {1} the hero's town, {2} the friend, {3} the friend's town, {4} a month, {5} things with
// their number, {6} coins, {7} one thing, {8} the friend's food, {9} the hero's animal.
constexpr Word kBeginnings[] = {
    {"One day in {4}, {0} left home in {1}.", "{4}的一天，{0}离开了{1}的家。"},
    {"It was a fine morning in {4}, and {0} woke up early in {1}.", "{4}的一个早晨，{0}在{1}早早起了床。"},
    {"In {4}, {0} from {1} went on a journey.", "{4}，住在{1}的{0}出门旅行。"},
};
constexpr Word kMeetings[] = {
    {"{0} wanted to see {2}, who lives in {3}.", "{0}想去看住在{3}的{2}。"},
    {"{0} went to {3} and met {2} there.", "{0}去了{3}，在那里见到了{2}。"},
    {"In {3}, {0} came to the house of {2}.", "{0}来到{3}，走到{2}的家。"},
};
constexpr Word kPurchases[] = {
    {"On the way {0} bought {5} for {6} coins.", "路上{0}花{6}个金币买了{5}。"},
    {"In the shop {0} paid {6} coins for {5}.", "{0}在商店里付了{6}个金币，买了{5}。"},
};
constexpr Word kVisits[] = {
    {"{0} gave a {7} to {2}, and they ate {8}, which {2} likes.",
     "{0}送给{2}一{7}，他们一起吃了{2}喜欢的{8}。"},
    {"{2} was happy about the {7}, and they ate {8} together.", "{2}收到了一{7}，很高兴，他们一起吃了{8}。"},
};
constexpr Word kEndings[] = {
    {"In the evening {0} went home to {1}, where the {9} was waiting.", "晚上{0}回到{1}的家，{9}在等着。"},
    {"Then {0} went back to {1} and fed the {9}.", "然后{0}回到{1}，给{9}喂了食。"},
    {"Late at night {0} was in {1} again.", "深夜，{0}又回到了{1}。"},
};

std::string story(const World& world, Draws& draws, Language language) {
  const Fact kin = draw_fact(world, draws, FactGroup::kKin);
  const bool relative = draws.one_in(2);
  const int64_t hero = relative ? kin.subject : draws.below(world.people());
  int64_t guest = relative ? kin.value : draws.below(world.people() - 1);
  if (!relative && guest >= hero) ++guest;
  const Person& one = world.person(hero);
  const Person& two = world.person(guest);
  const int64_t thing_number = draws.below(world.count(Category::kThing));
  const Thing& thing = things()[static_cast<size_t>(thing_number)];
  const int64_t count = draws.within(1, 4);
  const bool english = language == Language::kEnglish;
  const auto name = [&](Category category, int64_t index) { return world.name(category, index, language); };
  const std::vector<std::string> words{
      name(Category::kPerson, hero),
      name(Category::kTown, one.town),
      name(Category::kPerson, guest),
      name(Category::kTown, two.town),
      name(Category::kMonth, draws.below(12)),
      counted(count, thing, language),
      std::to_string(count * world.price(thing_number)),
      english ? std::string(thing.name.english) : fmt::format("{}{}", thing.classifier, thing.name.chinese),
      name(Category::kFood, two.food),
      name(Category::kAnimal, one.animal)};
  const auto part = [&](std::span<const Word> patterns) {
    return fill(draws.pick(patterns).in(language), words);
  };
  const auto fact = [&](int number, int64_t subject) {
    return state(world, *fact_of(world, number, subject), language, draws.below(4));
  };
  std::vector<std::string> sentences{part(kBeginnings)};
  sentences.push_back(fact(draws.one_in(2) ? kHasJob : kHasAge, hero));
  if (relative) sentences.push_back(state(world, kin, language, draws.below(4)));
  sentences.push_back(part(kMeetings));
  sentences.push_back(fact(static_cast<int>(draws.within(kHasCountry, kHasOpening)), two.town));
  sentences.push_back(part(kPurchases));
  sentences.push_back(fact(static_cast<int>(draws.within(kHasJob, kHasBirthday)), guest));
  sentences.push_back(part(kVisits));
  sentences.push_back(part(kEndings));
  return join_sentences(sentences, language);
}

}  // namespace

void make_fact(const Setting& setting, Draws& draws, Language language, Json& row) {
  row.set("text", text_in_split(setting.split, [&] {
            const bool person = draws.below(3) < 2;
            std::vector<std::string> sentences = person ? facts_about_person(setting.world, draws, language)
                                                        : mixed_facts(setting.world, draws, language);
            return join_sentences(sentences, language);
          }));
}

void make_story(const Setting& setting, Draws& draws, Language language, Json& row) {
  row.set("text", text_in_split(setting.split, [&] { return story(setting.world, draws, language); }));
}

}  // namespace martlet::data::tinyworld
