// Conversations with the assistant: one question, or several that follow one another.

#include <algorithm>

#include "data/tinyworld/kinds.h"

namespace martlet::data::tinyworld {
namespace {

/// One of the named skills, by their shares among the questions.
const Skill& pick_skill(Draws& draws, std::span<const std::string_view> names) {
  std::vector<double> weights;
  for (const Skill& skill : skills()) {
    const bool wanted = std::find(names.begin(), names.end(), skill.name) != names.end();
    weights.push_back(wanted ? skill.weight : 0);
  }
  return skills()[draws.weighted(weights)];
}

void make_single(const Setting& setting, Draws& draws, Language language, Json& row,
                 std::span<const std::string_view> names) {
  const Question question =
      draw_question(setting.world, draws, language, setting.split, pick_skill(draws, names));
  row.set("skill", question.skill);
  row.set("messages", Json::Array{message("user", question.text), message("assistant", question.reply())});
}

constexpr Word kGreetings[] = {
    {"Hello!", "你好！"}, {"Good morning!", "早上好！"}, {"Good evening!", "晚上好！"}};
constexpr Word kThanks[] = {{"Thank you!", "谢谢！"}, {"Thanks a lot!", "非常感谢！"}};
constexpr Word kFarewells[] = {{"You are welcome!", "不客气！"}, {"It was a pleasure.", "很高兴能帮忙。"}};
constexpr Word kShort[] = {{"And {0}?", "那{0}呢？"}, {"What about {0}?", "{0}呢？"}};

/// A fact whose question belongs to the split: of the group, or of any where a small world has none there.
Fact fact_in_split(const Setting& setting, Draws& draws, FactGroup group) {
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const Fact fact =
        attempt < 200 ? draw_fact(setting.world, draws, group) : draw_fact(setting.world, draws);
    if (split_of_content(fact_key(fact.relation, fact.subject)) == setting.split) return fact;
  }
  failed("no question about a fact belongs to the split {} in a world of {} people; make the world larger",
         name_of(setting.split), setting.world.people());
}

/// The same relation asked of another person in few words, which only the turn before explains.
std::optional<Question> follow_up(const Setting& setting, Draws& draws, const Fact& before,
                                  Language language) {
  const World& world = setting.world;
  for (int attempt = 0; attempt < 200; ++attempt) {
    const int64_t subject = draws.below(world.count(relation(before.relation).subject));
    const std::optional<Fact> fact = fact_of(world, before.relation, subject);
    if (!fact || fact->subject == before.subject) continue;
    Question question = question_about(world, draws, *fact, language);
    if (split_of_content(question.key) != setting.split) continue;
    question.text = fill(draws.pick(kShort).in(language), {subject_name(world, *fact, language)});
    return question;
  }
  return std::nullopt;
}

}  // namespace

void make_question(const Setting& setting, Draws& draws, Language language, Json& row) {
  constexpr std::string_view kNames[] = {"recall", "kinship", "comparison", "time", "reading"};
  make_single(setting, draws, language, row, kNames);
}

void make_multi_hop(const Setting& setting, Draws& draws, Language language, Json& row) {
  constexpr std::string_view kNames[] = {"two_hops"};
  make_single(setting, draws, language, row, kNames);
}

void make_arithmetic(const Setting& setting, Draws& draws, Language language, Json& row) {
  constexpr std::string_view kNames[] = {"addition", "chain", "purchase"};
  make_single(setting, draws, language, row, kNames);
}

void make_dialogue(const Setting& setting, Draws& draws, Language language, Json& row) {
  Json messages{Json::Array{}};
  const auto turn = [&](std::string user, std::string assistant) {
    messages.push_back(message("user", std::move(user)));
    messages.push_back(message("assistant", std::move(assistant)));
  };
  const auto join = [&](std::string_view first, const std::string& second) {
    const std::string parts[] = {std::string(first), second};
    return join_sentences(parts, language);
  };
  const bool greets = draws.one_in(2);
  const Word& greeting = draws.pick(kGreetings);
  for (int64_t turns = draws.within(1, 3), done = 0; done < turns; ++done) {
    const bool with_greeting = greets && done == 0;
    // A fact first, whose relation a short question may take up.
    const Fact fact = fact_in_split(setting, draws, draws.one_in(4) ? FactGroup::kKin : FactGroup::kPerson);
    const Question question = question_about(setting.world, draws, fact, language);
    turn(with_greeting ? join(greeting.in(language), question.text) : question.text,
         with_greeting ? join(greeting.in(language), question.reply()) : question.reply());
    if (!draws.one_in(2)) continue;
    if (const auto next = follow_up(setting, draws, fact, language)) turn(next->text, next->reply());
  }
  if (draws.one_in(3))
    turn(std::string(draws.pick(kThanks).in(language)), std::string(draws.pick(kFarewells).in(language)));
  row.set("messages", std::move(messages));
}

}  // namespace martlet::data::tinyworld
