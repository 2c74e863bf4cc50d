// Rows with a judgement: which answer is better, which choice is right, which label a text has.

#include <algorithm>
#include <array>

#include "data/tinyworld/kinds.h"

namespace martlet::data::tinyworld {
namespace {

constexpr Word kEvasions[] = {{"Why do you ask me?", "你为什么问我？"},
                              {"I have no time for that.", "我没有时间。"},
                              {"Find out by yourself.", "你自己去找吧。"}};

struct Labelled {
  std::string_view label;
  Word text;  // {0} and {1} two people, {2} a food, {3} a town, {4} things with their number, {5} an animal
};

constexpr Labelled kTopics[] = {
    {"family", {"{0} and {1} were married last spring.", "{0}和{1}去年春天结婚了。"}},
    {"family", {"The child of {0} learned to walk this week.", "{0}的孩子这个星期学会了走路。"}},
    {"family", {"{0} wrote a long letter to the grandparents.", "{0}给爷爷奶奶写了一封长信。"}},
    {"work", {"{0} starts early and has a strict boss.", "{0}很早上班，老板很严格。"}},
    {"work", {"{0} and {1} share an office and a big task.", "{0}和{1}共用一间办公室，任务很重。"}},
    {"work", {"The new job of {0} is hard but pays well.", "{0}的新工作很难，但是工资高。"}},
    {"food", {"{0} cooked {2} for {1} with salt and pepper.", "{0}给{1}做了{2}，放了盐和胡椒。"}},
    {"food", {"The {2} on the table smells good.", "桌上的{2}闻起来很香。"}},
    {"food", {"{0} eats {2} for breakfast.", "{0}早饭吃{2}。"}},
    {"travel", {"{0} took the night train to {3}.", "{0}坐夜车去了{3}。"}},
    {"travel", {"The ship with {0} and {1} reached {3}.", "{0}和{1}坐的船到了{3}。"}},
    {"travel", {"{0} packed a bag and walked to {3}.", "{0}收拾好行李，走路去了{3}。"}},
    {"money", {"{0} lent {1} forty coins until Friday.", "{0}借给{1}四十个金币，星期五还。"}},
    {"money", {"{0} sold {4} and saved the coins.", "{0}卖了{4}，把金币存了起来。"}},
    {"money", {"The bank in {3} raised its rates.", "{3}的银行提高了利率。"}},
    {"animals", {"The {5} of {0} ran across the field.", "{0}的{5}跑过了田野。"}},
    {"animals", {"{0} gave water to a thirsty {5}.", "{0}给口渴的{5}喂了水。"}},
    {"animals", {"A {5} slept under the tree in {3}.", "一只{5}睡在{3}的树下。"}},
};

constexpr Labelled kSentiments[] = {
    {"positive", {"{0} tasted the {2} and smiled.", "{0}尝了{2}，笑了。"}},
    {"positive", {"The days in {3} were wonderful.", "在{3}的日子好极了。"}},
    {"positive", {"{0} was proud of the {5}.", "{0}为那只{5}骄傲。"}},
    {"positive", {"What a lovely present: {4}!", "多好的礼物：{4}！"}},
    {"positive", {"The {2} was not bad at all.", "{2}一点也不差。"}},
    {"negative", {"{0} tasted the {2} and was sick.", "{0}尝了{2}，觉得恶心。"}},
    {"negative", {"The days in {3} were terrible.", "在{3}的日子糟透了。"}},
    {"negative", {"{0} was angry with {1}.", "{0}对{1}很生气。"}},
    {"negative", {"All {4} were broken.", "{4}全都坏了。"}},
    {"negative", {"The {2} was not good at all.", "{2}一点也不好。"}},
};

/// One or two sentences of one label, for texts enough that every split has some.
void make_labelled(const Setting& setting, Draws& draws, Language language, Json& row,
                   std::span<const Labelled> patterns) {
  const World& world = setting.world;
  const auto any = [&](Category category) {
    return world.name(category, draws.below(world.count(category)), language);
  };
  std::string_view label;
  std::string text = text_in_split(setting.split, [&] {
    const int64_t one = draws.below(world.people());
    const int64_t two = (one + draws.within(1, world.people() - 1)) % world.people();
    const std::vector<std::string> words{world.name(Category::kPerson, one, language),
                                         world.name(Category::kPerson, two, language),
                                         any(Category::kFood),
                                         any(Category::kTown),
                                         counted(draws.within(2, 9), draws.pick(things()), language),
                                         any(Category::kAnimal)};
    const Labelled& first = draws.pick(patterns);
    label = first.label;
    std::vector<std::string> sentences{fill(first.text.in(language), words)};
    if (draws.one_in(2)) {
      const Labelled* second = &draws.pick(patterns);
      while (second->label != label || second == &first) second = &draws.pick(patterns);
      sentences.push_back(fill(second->text.in(language), words));
    }
    return join_sentences(sentences, language);
  });
  row.set("text", std::move(text));
  row.set("label", label);
}

}  // namespace

void make_preference(const Setting& setting, Draws& draws, Language language, Json& row) {
  const Question question = draw_question(setting.world, draws, language, setting.split);
  constexpr double kShares[] = {0.6, 0.25, 0.15};
  constexpr std::string_view kFlaws[] = {"false", "evasive", "repetitive"};
  const size_t flaw = draws.weighted(kShares);
  const std::string again[] = {question.reply(), question.reply(), question.reply()};
  row.set("flaw", kFlaws[flaw]);
  row.set("prompt", question.text);
  row.set("chosen", question.reply());
  row.set("rejected", flaw == 0   ? question.wrong_answer
                      : flaw == 1 ? std::string(draws.pick(kEvasions).in(language))
                                  : join_sentences(again, language));
}

void make_multiple_choice(const Setting& setting, Draws& draws, Language language, Json& row) {
  const Question question = draw_question(setting.world, draws, language, setting.split);
  std::vector<std::string> choices(question.wrong_short.begin(), question.wrong_short.begin() + 3);
  choices.push_back(question.short_answer);
  draws.shuffle(choices);
  const auto right = std::find(choices.begin(), choices.end(), question.short_answer);
  row.set("question", question.text);
  row.set("answer", static_cast<int64_t>(right - choices.begin()));
  Json list{Json::Array{}};
  for (std::string& choice : choices) list.push_back(std::move(choice));
  row.set("choices", std::move(list));
}

void make_topic(const Setting& setting, Draws& draws, Language language, Json& row) {
  make_labelled(setting, draws, language, row, kTopics);
}

void make_sentiment(const Setting& setting, Draws& draws, Language language, Json& row) {
  make_labelled(setting, draws, language, row, kSentiments);
}

void make_entailment(const Setting& setting, Draws& draws, Language language, Json& row) {
  const World& world = setting.world;
  std::string premise, hypothesis;
  constexpr std::string_view kLabels[] = {"entailment", "neutral", "contradiction"};
  size_t label = 0;
  const std::string text = text_in_split(setting.split, [&] {
    const Fact fact = draw_fact(world, draws);
    const int64_t wording = draws.below(4);
    label = static_cast<size_t>(draws.below(3));
    premise = state(world, fact, language, wording);
    if (label == 0) hypothesis = state(world, fact, language, wording + draws.within(1, 3));
    if (label == 2) {
      const Fact wrong{fact.relation, fact.subject, draw_other_value(world, draws, fact)};
      hypothesis = state(world, wrong, language, draws.below(4));
    }
    if (label == 1) {
      // Something else: another relation or another subject; whether it is true the premise does not say.
      Fact other = draw_fact(world, draws);
      while (other.relation == fact.relation) other = draw_fact(world, draws);
      hypothesis = state(world, other, language, draws.below(4));
    }
    return premise + "\n" + hypothesis;
  });
  row.set("text", text);
  row.set("premise", premise);
  row.set("hypothesis", hypothesis);
  row.set("label", kLabels[label]);
}

}  // namespace martlet::data::tinyworld
