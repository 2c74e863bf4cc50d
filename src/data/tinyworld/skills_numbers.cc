// Questions that are worked out: sums of small numbers, what things cost together, days and hours.

#include <algorithm>

#include "base/error.h"
#include "data/tinyworld/question.h"

namespace martlet::data::tinyworld {
namespace {

// Sums stay below 21, so that the whole table is small enough to be learnt by heart.
constexpr int64_t kLargestTerm = 10;

struct StoryPattern {
  bool adds;
  Word text;  // {0} a person, {1} the first count with the thing, {2} the second number, {3} the plural thing
};

constexpr StoryPattern kStories[] = {
    {true,
     {"{0} has {1}. {0} buys {2} more. How many {3} does {0} have now?",
      "{0}有{1}，又买了{2}{4}。现在{0}有几{4}{3}？"}},
    {true,
     {"{0} has {1} and gets {2} more from a friend. How many {3} does {0} have?",
      "{0}有{1}，朋友又给了{2}{4}。{0}有几{4}{3}？"}},
    {false,
     {"{0} has {1}. {0} gives {2} to a friend. How many {3} does {0} have now?",
      "{0}有{1}，给了朋友{2}{4}。现在{0}有几{4}{3}？"}},
    {false,
     {"{0} has {1} and loses {2}. How many {3} does {0} have left?",
      "{0}有{1}，丢了{2}{4}。{0}还有几{4}{3}？"}},
};

struct BarePattern {
  bool adds;
  Word text;
};

constexpr BarePattern kBare[] = {
    {true, {"What is {0} + {1}?", "{0} + {1} 等于几？"}},
    {true, {"How much is {0} plus {1}?", "{0}加{1}等于几？"}},
    {false, {"What is {0} - {1}?", "{0} - {1} 等于几？"}},
    {false, {"How much is {0} minus {1}?", "{0}减{1}等于几？"}},
};

std::string equation(int64_t a, bool adds, int64_t b) {
  return fmt::format("{} {} {} = {}", a, adds ? '+' : '-', b, adds ? a + b : a - b);
}

std::string full_stop(std::string text, Language language) {
  return text + (language == Language::kEnglish ? "." : "。");
}

struct Terms {
  int64_t a, b;
};

/// Two numbers to add, or to take the second from the first with at least one left.
Terms draw_terms(Draws& draws, bool adds) {
  if (adds) return {draws.within(1, kLargestTerm), draws.within(1, kLargestTerm)};
  const int64_t a = draws.within(2, 2 * kLargestTerm);
  return {a, draws.within(1, std::min(a - 1, kLargestTerm))};
}

std::string says_has(const std::string& who, const std::string& things, Language language) {
  return language == Language::kEnglish ? fmt::format("{} has {}.", who, things)
                                        : fmt::format("{}有{}。", who, things);
}

/// Answer, bare value and false values of a question about how many `thing` somebody has.
void answer_with_count(Question& question, Draws& draws, const std::string& who, const Thing& thing,
                       int64_t count, Language language) {
  question.answer = says_has(who, counted(count, thing, language), language);
  question.short_answer = std::to_string(count);
  question.accepted.push_back(counted(count, thing, language));
  question.wrong_short = wrong_numbers(draws, count);
  question.wrong_answer =
      says_has(who, counted(std::stoll(question.wrong_short.front()), thing, language), language);
}

Question draw_bare_sum(Draws& draws, Language language) {
  const BarePattern& pattern = draws.pick(kBare);
  const auto [a, b] = draw_terms(draws, pattern.adds);
  Question question;
  question.key = fmt::format("sum/{}", equation(a, pattern.adds, b));
  question.text = fill(pattern.text.in(language), {std::to_string(a), std::to_string(b)});
  question.answer = full_stop(equation(a, pattern.adds, b), language);
  question.short_answer = std::to_string(pattern.adds ? a + b : a - b);
  question.wrong_short = wrong_numbers(draws, pattern.adds ? a + b : a - b);
  question.wrong_answer = full_stop(
      fmt::format("{} {} {} = {}", a, pattern.adds ? '+' : '-', b, question.wrong_short.front()), language);
  return question;
}

}  // namespace

Question draw_addition(const World& world, Draws& draws, Language language) {
  if (draws.one_in(3)) return draw_bare_sum(draws, language);
  const StoryPattern& pattern = draws.pick(kStories);
  const auto [a, b] = draw_terms(draws, pattern.adds);
  const int64_t person = draws.below(world.people());
  const int64_t thing_number = draws.below(world.count(Category::kThing));
  const Thing& thing = things()[static_cast<size_t>(thing_number)];
  const std::string who = world.name(Category::kPerson, person, language);
  Question question;
  question.language = language;
  question.key = fmt::format("addition/{}/{}/{}", equation(a, pattern.adds, b), person, thing_number);
  question.text = fill(pattern.text.in(language),
                       {who, counted(a, thing, language), std::to_string(b),
                        std::string(language == Language::kEnglish ? thing.plural : thing.name.chinese),
                        std::string(thing.classifier)});
  question.reasoning = full_stop(equation(a, pattern.adds, b), language);
  answer_with_count(question, draws, who, thing, pattern.adds ? a + b : a - b, language);
  return question;
}

Question draw_chain(const World& world, Draws& draws, Language language) {
  const auto [a, b] = draw_terms(draws, true);
  const int64_t sum = a + b;
  const int64_t c = draws.within(1, std::min(sum - 1, kLargestTerm));
  const int64_t person = draws.below(world.people());
  const int64_t thing_number = draws.below(world.count(Category::kThing));
  const Thing& thing = things()[static_cast<size_t>(thing_number)];
  const std::string who = world.name(Category::kPerson, person, language);
  const bool english = language == Language::kEnglish;
  Question question;
  question.language = language;
  question.key = fmt::format("chain/{}/{}/{}/{}/{}", a, b, c, person, thing_number);
  question.text =
      fill(english ? "{0} has {1}. {0} buys {2} more and then gives {5} to a friend. How many {3} does {0} "
                     "have now?"
                   : "{0}有{1}，又买了{2}{4}，然后给了朋友{5}{4}。现在{0}有几{4}{3}？",
           {who, counted(a, thing, language), std::to_string(b),
            std::string(english ? thing.plural : thing.name.chinese), std::string(thing.classifier),
            std::to_string(c)});
  const std::string steps[] = {full_stop(equation(a, true, b), language),
                               full_stop(equation(sum, false, c), language)};
  question.reasoning = join_sentences(steps, language);
  answer_with_count(question, draws, who, thing, sum - c, language);
  return question;
}

Question draw_purchase(const World& world, Draws& draws, Language language) {
  const int64_t thing_number = draws.below(world.count(Category::kThing));
  const Thing& thing = things()[static_cast<size_t>(thing_number)];
  const int64_t person = draws.below(world.people());
  const int64_t count = draws.within(2, 4);
  const int64_t price = world.price(thing_number);
  const int64_t total = count * price;
  const std::string who = world.name(Category::kPerson, person, language);
  const bool english = language == Language::kEnglish;
  Question question;
  question.language = language;
  question.key = fmt::format("purchase/{}/{}/{}", person, count, thing_number);
  question.text =
      fill(english ? "{0} buys {1}. How many coins does {0} pay?" : "{0}买了{1}。{0}要付几个金币？",
           {who, counted(count, thing, language)});
  const std::string steps[] = {state(world, {kHasPrice, thing_number, price}, language, 0),
                               full_stop(fmt::format("{} x {} = {}", count, price, total), language)};
  question.reasoning = join_sentences(steps, language);
  const auto says = [&](const std::string& coins) {
    return fill(english ? "{0} pays {1} coins." : "{0}要付{1}个金币。", {who, coins});
  };
  question.short_answer = std::to_string(total);
  question.accepted.push_back(fmt::format("{}{}", total, english ? " coins" : "个金币"));
  question.answer = says(question.short_answer);
  question.wrong_short = wrong_numbers(draws, total);
  question.wrong_answer = says(question.wrong_short.front());
  return question;
}

namespace {

/// "Today is Monday. Anna's birthday is in 3 days. ..."
Question draw_day(const World& world, Draws& draws, Language language) {
  const int64_t today = draws.below(world.count(Category::kDay));
  const int64_t later = draws.within(1, 6);
  const int64_t person = draws.below(world.people());
  const std::string who = world.name(Category::kPerson, person, language);
  const auto day = [&](int64_t index) { return world.name(Category::kDay, index % 7, language); };
  const bool english = language == Language::kEnglish;
  Question question;
  question.key = fmt::format("day/{}/{}/{}", today, later, person);
  question.text = fill(english ? "Today is {0}. {1} leaves in {2} {3}. On which day does {1} leave?"
                               : "今天是{0}，{1}{2}天后出发。{1}星期几出发？",
                       {day(today), who, std::to_string(later), later == 1 ? "day" : "days"});
  // Counting on the fingers: every day on the way.
  std::string way = english ? "After " + day(today) + " come " : day(today) + "之后是";
  for (int64_t step = 1; step <= later; ++step)
    way += fmt::format("{}{}", step == 1 ? "" : english ? ", " : "、", day(today + step));
  question.reasoning = full_stop(way, language);
  const auto says = [&](const std::string& then) {
    return fill(english ? "{0} leaves on {1}." : "{0}{1}出发。", {who, then});
  };
  question.short_answer = day(today + later);
  question.answer = says(question.short_answer);
  int64_t others[] = {1, 2, 3, 4, 5, 6};
  draws.shuffle(others);
  for (size_t i = 0; i < 3; ++i) question.wrong_short.push_back(day(today + later + others[i]));
  question.wrong_answer = says(question.wrong_short.front());
  return question;
}

/// "It is 3 o'clock. Tom's ship leaves in 4 hours. ..."; never past 12.
Question draw_hour(const World& world, Draws& draws, Language language) {
  const int64_t now = draws.within(1, 8);
  const int64_t later = draws.within(1, 4);
  const int64_t person = draws.below(world.people());
  const std::string who = world.name(Category::kPerson, person, language);
  const bool english = language == Language::kEnglish;
  Question question;
  question.key = fmt::format("hour/{}/{}/{}", now, later, person);
  question.text =
      fill(english ? "It is {0} o'clock. {1} comes home in {2} {3}. At what time does {1} come home?"
                   : "现在是{0}点，{1}{2}小时后回家。{1}几点回家？",
           {std::to_string(now), who, std::to_string(later), later == 1 ? "hour" : "hours"});
  question.reasoning = full_stop(equation(now, true, later), language);
  const auto says = [&](const std::string& then) {
    return fill(english ? "{0} comes home at {1} o'clock." : "{0}{1}点回家。", {who, then});
  };
  question.short_answer = std::to_string(now + later);
  question.accepted.push_back(fmt::format("{}{}", now + later, english ? " o'clock" : "点"));
  question.answer = says(question.short_answer);
  question.wrong_short = wrong_numbers(draws, now + later);
  question.wrong_answer = says(question.wrong_short.front());
  return question;
}

}  // namespace

Question draw_time(const World& world, Draws& draws, Language language) {
  return draws.one_in(2) ? draw_day(world, draws, language) : draw_hour(world, draws, language);
}

}  // namespace martlet::data::tinyworld
