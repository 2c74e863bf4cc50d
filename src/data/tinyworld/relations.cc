#include "data/tinyworld/relations.h"

#include "base/error.h"

namespace martlet::data::tinyworld {
namespace {

using enum Category;

constexpr Relation kRelations[] = {
    {"home",
     kPerson,
     kTown,
     {{"{0} lives in {1}.", "{0}'s home is in {1}.", "The home of {0} is in {1}.", "{0} has a house in {1}."},
      {"Where does {0} live?", "In which town does {0} live?", "Where is {0}'s home?"}},
     {{"{0}住在{1}。", "{0}的家在{1}。", "{0}在{1}有一座房子。", "{0}居住的地方是{1}。"},
      {"{0}住在哪里？", "{0}的家在哪里？", "{0}住在哪个地方？"}}},
    {"job",
     kPerson,
     kJob,
     {{"{0} is a {1}.", "{0} works as a {1}.", "{0}'s job is {1}.", "The job of {0} is {1}."},
      {"What is {0}'s job?", "What does {0} do for work?", "What job does {0} have?"}},
     {{"{0}是{1}。", "{0}的工作是{1}。", "{0}的职业是{1}。", "{0}当{1}。"},
      {"{0}的工作是什么？", "{0}做什么工作？", "{0}的职业是什么？"}}},
    {"age",
     kPerson,
     kNumber,
     {{"{0} is {1} years old.", "{0}'s age is {1}.", "The age of {0} is {1}.",
       "{0} has lived for {1} years."},
      {"How old is {0}?", "What is {0}'s age?", "How many years old is {0}?"}},
     {{"{0}今年{1}岁。", "{0}的年龄是{1}岁。", "{0}有{1}岁了。", "{0}已经{1}岁。"},
      {"{0}今年几岁？", "{0}的年龄是多少？", "{0}多大了？"}}},
    {"colour",
     kPerson,
     kColour,
     {{"{0}'s favourite colour is {1}.", "{0} likes the colour {1}.", "The favourite colour of {0} is {1}.",
       "{0} wears {1} every day."},
      {"What is {0}'s favourite colour?", "Which colour does {0} like?", "What colour does {0} like best?"}},
     {{"{0}最喜欢的颜色是{1}。", "{0}喜欢{1}。", "{0}最爱的颜色是{1}。", "{0}每天穿{1}的衣服。"},
      {"{0}最喜欢什么颜色？", "{0}喜欢什么颜色？", "{0}最爱的颜色是什么？"}}},
    {"food",
     kPerson,
     kFood,
     {{"{0}'s favourite food is {1}.", "{0} likes to eat {1}.", "The favourite food of {0} is {1}.",
       "{0} eats {1} every day."},
      {"What is {0}'s favourite food?", "What does {0} like to eat?", "Which food does {0} like best?"}},
     {{"{0}最喜欢的食物是{1}。", "{0}喜欢吃{1}。", "{0}最爱吃的是{1}。", "{0}每天吃{1}。"},
      {"{0}最喜欢吃什么？", "{0}喜欢吃什么？", "{0}最喜欢的食物是什么？"}}},
    {"pet",
     kPerson,
     kAnimal,
     {{"{0}'s pet is a {1}.", "{0} has a {1}.", "The pet of {0} is a {1}.", "{0} keeps a {1} at home."},
      {"What is {0}'s pet?", "Which animal does {0} have?", "What pet does {0} keep?"}},
     {{"{0}的宠物是{1}。", "{0}养了{1}。", "{0}家里有{1}。", "{0}有一只宠物，是{1}。"},
      {"{0}的宠物是什么？", "{0}养了什么动物？", "{0}有什么宠物？"}}},
    {"birthday",
     kPerson,
     kMonth,
     {{"{0}'s birthday is in {1}.", "{0} was born in {1}.", "The birthday of {0} is in {1}.",
       "{0} has a birthday in {1}."},
      {"When is {0}'s birthday?", "In which month was {0} born?", "In which month is {0}'s birthday?"}},
     {{"{0}的生日在{1}。", "{0}出生在{1}。", "{0}在{1}过生日。", "{0}是{1}出生的。"},
      {"{0}的生日在几月？", "{0}是几月出生的？", "{0}在几月过生日？"}}},
    {"country",
     kTown,
     kCountry,
     {{"{0} is in {1}.", "{0} is a town in {1}.", "{0} belongs to {1}.", "The country of {0} is {1}."},
      {"In which country is {0}?", "Which country does {0} belong to?", "What is the country of {0}?"}},
     {{"{0}在{1}。", "{0}是{1}的一个地方。", "{0}属于{1}。", "{0}的国家是{1}。"},
      {"{0}在哪个国家？", "{0}属于哪个国家？", "{0}的国家是哪个？"}}},
    {"market",
     kTown,
     kDay,
     {{"The market in {0} is on {1}.", "{0} has its market on {1}.", "{1} is the market day of {0}.",
       "In {0} the market comes on {1}."},
      {"On which day is the market in {0}?", "When is the market in {0}?", "What is the market day of {0}?"}},
     {{"{0}的集市在{1}。", "{0}在{1}有集市。", "{0}的集市日是{1}。", "{1}是{0}的集市日。"},
      {"{0}的集市在星期几？", "{0}星期几有集市？", "{0}的集市日是哪天？"}}},
    {"landmark",
     kTown,
     kLandmark,
     {{"{0} lies by the {1}.", "{0} is next to the {1}.", "There is a {1} near {0}.",
       "The {1} is close to {0}."},
      {"What does {0} lie by?", "What is {0} next to?", "What is near {0}?"}},
     {{"{0}旁边是{1}。", "{0}靠着{1}。", "{0}附近有{1}。", "{1}在{0}的旁边。"},
      {"{0}旁边是什么？", "{0}靠着什么？", "{0}附近有什么？"}}},
    {"opening",
     kTown,
     kHour,
     {{"The shop in {0} opens at {1} o'clock.", "In {0} the shop opens at {1} o'clock.",
       "The shop of {0} is open from {1} o'clock.", "People can buy things in {0} from {1} o'clock."},
      {"When does the shop in {0} open?", "At what time does the shop in {0} open?",
       "From what time is the shop in {0} open?"}},
     {{"{0}的商店{1}点开门。", "在{0}，商店{1}点开门。", "{0}的商店从{1}点开始营业。",
       "{0}的商店每天{1}点开。"},
      {"{0}的商店几点开门？", "在{0}，商店几点开门？", "{0}的商店从几点开始营业？"}}},
    {"price",
     kThing,
     kNumber,
     {{"A {0} costs {1} coins.", "The price of a {0} is {1} coins.", "You pay {1} coins for a {0}.",
       "The shop sells a {0} for {1} coins."},
      {"How much does a {0} cost?", "What is the price of a {0}?", "How many coins does a {0} cost?"}},
     {{"{0}的价格是{1}个金币。", "{0}卖{1}个金币。", "买{0}要{1}个金币。", "商店里的{0}要{1}个金币。"},
      {"{0}的价格是多少？", "{0}卖多少金币？", "买{0}要几个金币？"}}},
    {"workplace",
     kJob,
     kWorkplace,
     {{"A {0} works in the {1}.", "The {1} is where a {0} works.", "The work of a {0} is in the {1}.",
       "In the {1} works a {0}."},
      {"Where does a {0} work?", "What is the workplace of a {0}?", "In which place does a {0} work?"}},
     {{"{0}在{1}工作。", "{1}是{0}工作的地方。", "{0}的工作地点是{1}。", "{0}在{1}上班。"},
      {"{0}在哪里工作？", "{0}在哪里上班？", "{0}的工作地点是哪里？"}}},
};
static_assert(std::size(kRelations) == kFirstKin);

constexpr Relation kKinship{
    "kin",
    kPerson,
    kPerson,
    {{"{0}'s {2} is {1}.", "{1} is {0}'s {2}.", "{0}'s {2} is called {1}.", "The {2} of {0} is {1}."},
     {"Who is {0}'s {2}?", "What is the name of {0}'s {2}?", "Who is the {2} of {0}?"}},
    {{"{0}的{2}是{1}。", "{1}是{0}的{2}。", "{0}的{2}叫{1}。", "{0}的{2}名叫{1}。"},
     {"{0}的{2}是谁？", "谁是{0}的{2}？", "{0}的{2}叫什么名字？"}}};

struct KinName {
  std::string_view key;
  Word word;
};

constexpr KinName kKinNames[] = {
    {"father", {"father", "爸爸"}},
    {"mother", {"mother", "妈妈"}},
    {"husband", {"husband", "丈夫"}},
    {"wife", {"wife", "妻子"}},
    {"son", {"son", "儿子"}},
    {"daughter", {"daughter", "女儿"}},
    {"older_brother", {"older brother", "哥哥"}},
    {"younger_brother", {"younger brother", "弟弟"}},
    {"older_sister", {"older sister", "姐姐"}},
    {"younger_sister", {"younger sister", "妹妹"}},
    {"fathers_father", {"grandfather", "爷爷"}},
    {"fathers_mother", {"grandmother", "奶奶"}},
    {"mothers_father", {"grandfather", "外公"}},
    {"mothers_mother", {"grandmother", "外婆"}},
    {"fathers_older_brother", {"uncle", "伯伯"}},
    {"fathers_younger_brother", {"uncle", "叔叔"}},
    {"fathers_sister", {"aunt", "姑姑"}},
    {"mothers_brother", {"uncle", "舅舅"}},
    {"mothers_sister", {"aunt", "姨妈"}},
};
static_assert(std::size(kKinNames) == kKinCount);

const KinName& kin_name(int number) {
  return kKinNames[static_cast<size_t>(number - kFirstKin)];
}

std::vector<std::string> arguments_of(const World& world, const Fact& fact, const std::string& subject,
                                      Language language) {
  return {subject, value_name(world, fact, language), std::string(kin_word(fact.relation, language))};
}

}  // namespace

const Relation& relation(int number) {
  return number < kFirstKin ? kRelations[number] : kKinship;
}

std::string_view kin_word(int number, Language language) {
  return number < kFirstKin ? std::string_view() : kin_name(number).word.in(language);
}

std::optional<Fact> fact_of(const World& world, int number, int64_t subject) {
  const auto value = [&]() -> std::optional<int64_t> {
    switch (number) {
      case kHasHome:
        return world.person(subject).town;
      case kHasJob:
        return world.person(subject).job;
      case kHasAge:
        return world.person(subject).age;
      case kHasColour:
        return world.person(subject).colour;
      case kHasFood:
        return world.person(subject).food;
      case kHasPet:
        return world.person(subject).animal;
      case kHasBirthday:
        return world.person(subject).month;
      case kHasCountry:
        return world.town(subject).country;
      case kHasMarket:
        return world.town(subject).day;
      case kHasLandmark:
        return world.town(subject).landmark;
      case kHasOpening:
        return world.town(subject).hour;
      case kHasPrice:
        return world.price(subject);
      case kHasWorkplace:
        return subject;
      default:
        break;
    }
    const std::vector<int64_t> found = world.relatives(subject, static_cast<Kin>(number - kFirstKin));
    return found.size() == 1 ? std::optional(found.front()) : std::nullopt;
  }();
  if (!value) return std::nullopt;
  return Fact{number, subject, *value};
}

Fact draw_fact(const World& world, Draws& draws, FactGroup group) {
  const auto draw_from = [&](int first, int last) -> std::optional<Fact> {
    const int number = static_cast<int>(draws.within(first, last));
    return fact_of(world, number, draws.below(world.count(relation(number).subject)));
  };
  // Every family has wives, so the search ends soon.
  while (true) {
    std::optional<Fact> fact;
    switch (group) {
      case FactGroup::kPerson:
        fact = draw_from(kHasHome, kHasBirthday);
        break;
      case FactGroup::kKin:
        fact = draw_from(kFirstKin, kRelationCount - 1);
        break;
      case FactGroup::kTown:
        fact = draw_from(kHasCountry, kHasOpening);
        break;
      case FactGroup::kThing:
        fact = draw_from(kHasPrice, kHasPrice);
        break;
      case FactGroup::kJob:
        fact = draw_from(kHasWorkplace, kHasWorkplace);
        break;
    }
    if (fact) return *fact;
  }
}

Fact draw_fact(const World& world, Draws& draws) {
  constexpr double kShares[] = {0.5, 0.25, 0.12, 0.09, 0.04};  // in the order of FactGroup
  return draw_fact(world, draws, static_cast<FactGroup>(draws.weighted(kShares)));
}

int64_t draw_other_value(const World& world, Draws& draws, const Fact& fact) {
  const int64_t count = world.count(relation(fact.relation).value);
  if (count == 0) {
    const int64_t distance = draws.within(1, 5);
    return fact.value > distance && draws.one_in(2) ? fact.value - distance : fact.value + distance;
  }
  const int64_t other = draws.below(count - 1);
  return other < fact.value ? other : other + 1;
}

std::string state(const World& world, const Fact& fact, Language language, int64_t wording) {
  return state(world, fact, subject_name(world, fact, language), language, wording);
}

std::string state(const World& world, const Fact& fact, const std::string& subject, Language language,
                  int64_t wording) {
  const auto& patterns = relation(fact.relation).in(language).statements;
  return sentence_case(fill(patterns[static_cast<size_t>(wording) % patterns.size()],
                            arguments_of(world, fact, subject, language)));
}

std::string ask(const World&, int number, const std::string& subject, Language language, int64_t wording) {
  const auto& patterns = relation(number).in(language).questions;
  return fill(patterns[static_cast<size_t>(wording) % patterns.size()],
              {subject, "", std::string(kin_word(number, language))});
}

std::string subject_name(const World& world, const Fact& fact, Language language) {
  return world.name(relation(fact.relation).subject, fact.subject, language);
}

std::string value_name(const World& world, const Fact& fact, Language language) {
  return world.name(relation(fact.relation).value, fact.value, language);
}

std::string relative_name(const World& world, int kin_relation, int64_t person, Language language) {
  const std::string who = world.name(kPerson, person, language);
  return fmt::format("{}{}{}", who, language == Language::kEnglish ? "'s " : "的",
                     kin_word(kin_relation, language));
}

std::string fact_key(int number, int64_t subject) {
  return fmt::format("{}/{}", number < kFirstKin ? relation(number).name : kin_name(number).key, subject);
}

}  // namespace martlet::data::tinyworld
