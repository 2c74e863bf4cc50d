// Tinyworld: what it says is true, reproducible, and held-out questions are held out.

#include "data/tinyworld/tinyworld.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/expect_error.h"
#include "base/thread_pool.h"
#include "data/tinyworld/kinds.h"

namespace martlet::data {
namespace {

using namespace tinyworld;
using ::testing::HasSubstr;

TinyworldOptions options_of(uint64_t seed, Split split = Split::kTrain) {
  TinyworldOptions options;
  options.seed = seed;
  options.split = split;
  return options;
}

/// Everything that a row asks a model: the person's turns, prompts, questions of a choice.
std::vector<std::string> asked_in(const Json& row) {
  std::vector<std::string> asked;
  if (const Json* messages = row.find("messages"))
    for (const Json& turn : messages->array())
      if (turn.at("role").string() == "user") asked.push_back(turn.at("content").string());
  for (const char* key : {"prompt", "question"})
    if (const Json* text = row.find(key)) asked.push_back(text->string());
  return asked;
}

TEST(Tinyworld, ARowDependsOnSeedAndNumberAlone) {
  const Tinyworld world(options_of(3));
  const int threads = thread_count();
  set_thread_count(1);
  const std::string alone = world.lines(0, 500);
  set_thread_count(4);
  const std::string together = world.lines(0, 500);
  set_thread_count(threads);
  EXPECT_EQ(alone, together);
  EXPECT_EQ(Tinyworld(options_of(3)).lines(137, 200), [&] {
    std::string text;
    for (uint64_t i = 137; i < 337; ++i) text += world.document(i).dump() + "\n";
    return text;
  }());
  EXPECT_NE(Tinyworld(options_of(4)).lines(0, 500), alone);
  EXPECT_NE(Tinyworld(options_of(3, Split::kTest)).lines(0, 500), alone);
}

TEST(Tinyworld, EveryKindAndLanguageComesInItsShare) {
  const Tinyworld world(options_of(5));
  std::map<std::string, int> kinds_seen, languages;
  constexpr int kRows = 20000;
  for (uint64_t i = 0; i < kRows; ++i) {
    const Json row = world.document(i);
    ++kinds_seen[row.at("kind").string()];
    ++languages[row.at("language").string()];
  }
  double total = 0;
  for (const Kind& kind : kinds()) total += kind.weight;
  for (const Kind& kind : kinds()) {
    const double share = kind.weight / total;
    // Five standard deviations of a binomial count.
    EXPECT_NEAR(kinds_seen[std::string(kind.name)], kRows * share, 5 * std::sqrt(kRows * share)) << kind.name;
  }
  EXPECT_NEAR(languages["en"], kRows / 2, 5 * std::sqrt(kRows / 4.0));
}

TEST(Tinyworld, HeldOutQuestionsAreNeverAskedInTraining) {
  for (const uint64_t seed : {1, 2}) {
    std::set<std::string> asked;
    const Tinyworld training(options_of(seed));
    for (uint64_t i = 0; i < 30000; ++i)
      for (std::string& text : asked_in(training.document(i))) asked.insert(normalised_answer(text));
    for (const Split split : {Split::kValidation, Split::kTest}) {
      for (const Question& question : Tinyworld(options_of(seed, split)).questions(300))
        EXPECT_FALSE(asked.contains(normalised_answer(question.text))) << question.text;
      // Documents of the other splits too; follow-up questions ("And Tom?") say what they ask only in their
      // place.
      const Tinyworld other(options_of(seed, split));
      for (uint64_t i = 0; i < 2000; ++i) {
        const Json row = other.document(i);
        if (row.at("kind").string() == "dialogue" || row.at("kind").string() == "tool_call" ||
            row.at("kind").string() == "long_document")
          continue;
        for (const std::string& text : asked_in(row))
          EXPECT_FALSE(asked.contains(normalised_answer(text))) << text;
      }
    }
  }
}

TEST(Tinyworld, FollowUpsInDialoguesKeepToTheirSplitToo) {
  for (const Split split : kSplits) {
    TinyworldOptions options = options_of(3, split);
    options.kinds = {{"dialogue", 1}};
    const Tinyworld world(options);
    // The answers of all questions about facts, with what was asked.
    std::map<std::string, std::string> key_of;
    for (int number = 0; number < kRelationCount; ++number)
      for (int64_t subject = 0; subject < world.world().count(relation(number).subject); ++subject)
        if (const std::optional<Fact> fact = fact_of(world.world(), number, subject))
          for (const Language language : kLanguages)
            key_of[state(world.world(), *fact, language, 0)] = fact_key(number, subject);
    int known = 0;
    for (uint64_t i = 0; i < 2000; ++i) {
      const Json row = world.document(i);
      for (const Json& turn : row.at("messages").array()) {
        const auto found = key_of.find(turn.at("content").string());
        if (found == key_of.end()) continue;
        ++known;
        EXPECT_EQ(split_of_content(found->second), split) << found->first;
      }
    }
    EXPECT_GT(known, 3000);
  }
}

TEST(Tinyworld, QuestionsSpreadOverSkillsAndLanguages) {
  std::map<std::string, int> seen;
  const std::vector<Question> questions = Tinyworld(options_of(7, Split::kTest)).questions(200);
  ASSERT_EQ(questions.size(), 200u);
  std::set<std::string> texts;
  for (const Question& question : questions) {
    ++seen[std::string(question.skill)];
    ++seen[std::string(code_of(question.language))];
    EXPECT_EQ(split_of_content(question.key), Split::kTest);
    texts.insert(question.text);
  }
  EXPECT_EQ(texts.size(), 200u);
  for (const Skill& skill : skills()) EXPECT_GE(seen[std::string(skill.name)], 2) << skill.name;
  EXPECT_GE(seen["en"], 60);
  EXPECT_GE(seen["zh"], 60);
}

TEST(Tinyworld, TheCheckerTakesRightRepliesAndNoWrongOnes) {
  for (const Split split : kSplits) {
    for (const Question& question : Tinyworld(options_of(11, split)).questions(150)) {
      EXPECT_TRUE(is_right(question, question.reply()));
      EXPECT_TRUE(is_right(question, question.answer));
      EXPECT_TRUE(is_right(question, " " + question.short_answer + "\n"));
      EXPECT_FALSE(is_right(question, question.wrong_answer)) << question.wrong_answer;
      EXPECT_FALSE(is_right(question, ""));
      EXPECT_FALSE(is_right(question, question.text));
      EXPECT_FALSE(is_right(question, question.answer + " " + question.wrong_answer));
      ASSERT_GE(question.wrong_short.size(), 3u);
      std::set<std::string> values(question.wrong_short.begin(), question.wrong_short.end());
      EXPECT_EQ(values.size(), question.wrong_short.size()) << question.text;
      for (const std::string& wrong : question.wrong_short)
        EXPECT_FALSE(is_right(question, wrong)) << question.text;
    }
  }
}

TEST(Tinyworld, RepliesAreComparedWithoutCasePunctuationAndSpacing) {
  EXPECT_EQ(normalised_answer("  The LAMP is  in Oakton's hall. "), "the lamp is in oaktons hall");
  EXPECT_EQ(normalised_answer("安娜，住在橡树镇。"), "安娜住在橡树镇");
  EXPECT_NE(normalised_answer("2 + 1 = 3."), normalised_answer("2 - 1 = 3."));
  EXPECT_EQ(normalised_answer("...!?"), "");
}

TEST(Tinyworld, SplitsTakeTheirSharesOfAnyContent) {
  std::map<Split, int> count;
  for (int i = 0; i < 100000; ++i) ++count[split_of_content("question " + std::to_string(i))];
  EXPECT_NEAR(count[Split::kTrain], 80000, 700);
  EXPECT_NEAR(count[Split::kValidation], 10000, 500);
  EXPECT_NEAR(count[Split::kTest], 10000, 500);
}

TEST(Tinyworld, ArithmeticIsRight) {
  TinyworldOptions options = options_of(13);
  options.kinds = {{"arithmetic", 1}};
  const Tinyworld world(options);
  int equations = 0;
  for (uint64_t i = 0; i < 3000; ++i) {
    const std::string reply = world.document(i).at("messages").array()[1].at("content").string();
    for (size_t at = reply.find(" = "); at != std::string::npos; at = reply.find(" = ", at + 1)) {
      // "A OP B = C": the two numbers before the sign and the one after it.
      const size_t b_start = reply.rfind(' ', at - 1);
      const char sign = reply[b_start - 1];
      const size_t a_end = b_start - 2;
      size_t a_start = a_end;
      while (a_start > 0 && std::isdigit(static_cast<unsigned char>(reply[a_start - 1]))) --a_start;
      const int64_t a = std::stoll(reply.substr(a_start, a_end - a_start)),
                    b = std::stoll(reply.substr(b_start + 1));
      const int64_t c = std::stoll(reply.substr(at + 3));
      EXPECT_EQ(c, sign == '+' ? a + b : sign == '-' ? a - b : a * b) << reply;
      EXPECT_GE(c, 1);
      ++equations;
    }
  }
  EXPECT_GT(equations, 3000);
}

TEST(Tinyworld, RowsHaveTheMembersOfTheirKind) {
  const Tinyworld world(options_of(17));
  const std::map<std::string, std::vector<std::string>> members{
      {"fact", {"text"}},
      {"story", {"text"}},
      {"question", {"skill", "messages"}},
      {"multi_hop", {"skill", "messages"}},
      {"arithmetic", {"skill", "messages"}},
      {"instruction", {"messages"}},
      {"dialogue", {"messages"}},
      {"preference", {"flaw", "prompt", "chosen", "rejected"}},
      {"tool_call", {"tools", "messages"}},
      {"multiple_choice", {"question", "answer", "choices"}},
      {"topic", {"text", "label"}},
      {"sentiment", {"text", "label"}},
      {"entailment", {"text", "premise", "hypothesis", "label"}},
      {"long_document", {"messages"}}};
  ASSERT_EQ(members.size(), kinds().size());
  for (uint64_t i = 0; i < 5000; ++i) {
    const Json row = world.document(i);
    std::vector<std::string> names;
    for (const auto& [name, value] : row.object()) names.push_back(name);
    std::vector<std::string> expected{"kind", "language"};
    const std::vector<std::string>& own = members.at(row.at("kind").string());
    expected.insert(expected.end(), own.begin(), own.end());
    ASSERT_EQ(names, expected);
    if (row.at("kind").string() == "preference") {
      EXPECT_NE(row.at("chosen"), row.at("rejected"));
    }
    if (row.at("kind").string() == "multiple_choice") {
      const Json::Array& choices = row.at("choices").array();
      ASSERT_EQ(choices.size(), 4u);
      std::set<std::string> different;
      for (const Json& choice : choices) different.insert(choice.string());
      EXPECT_EQ(different.size(), 4u);
      EXPECT_LT(row.at("answer").integer(), 4);
    }
  }
}

TEST(Tinyworld, KindsLanguagesAndSizeCanBeChosen) {
  TinyworldOptions options = options_of(19);
  options.kinds = {{"story", 3}, {"dialogue", 1}};
  options.languages = {"zh"};
  const Tinyworld world(options);
  int stories = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    const Json row = world.document(i);
    EXPECT_EQ(row.at("language").string(), "zh");
    stories += row.at("kind").string() == "story" ? 1 : 0;
  }
  EXPECT_NEAR(stories, 3000, 150);

  options.long_sentences = 500;
  options.kinds = {{"long_document", 1}};
  const Json document = Tinyworld(options).document(0);
  EXPECT_THAT(document.at("messages").array()[0].at("content").string(), HasSubstr("第500天"));
}

TEST(Tinyworld, AFirstModelTrainsOnWhatIsTrue) {
  std::set<std::string> chosen;
  double total = 0;
  for (const auto& [name, weight] : tinyworld_training_kinds()) {
    chosen.insert(name);
    total += weight;
  }
  for (const char* labelled : {"preference", "multiple_choice", "topic", "sentiment", "entailment"})
    EXPECT_FALSE(chosen.contains(labelled));
  for (const char* needed : {"fact", "question", "multi_hop", "arithmetic", "dialogue"})
    EXPECT_TRUE(chosen.contains(needed));
  // About 98 in 100, the rest rounding: weights are shares.
  EXPECT_NEAR(total, 1, 0.03);
}

TEST(Tinyworld, TheWorldHasASeedOfItsOwn) {
  TinyworldOptions options = options_of(23);
  options.world_seed = 99;
  const Tinyworld one(options);
  options.seed = 24;
  const Tinyworld other(options);
  EXPECT_NE(one.lines(0, 20), other.lines(0, 20));
  for (int64_t i = 0; i < one.world().people(); ++i) {
    EXPECT_EQ(one.world().name(Category::kPerson, i, Language::kEnglish),
              other.world().name(Category::kPerson, i, Language::kEnglish));
    EXPECT_EQ(one.world().person(i).age, other.world().person(i).age);
  }
}

TEST(Tinyworld, ASkillWithoutQuestionsInASplitIsRefused) {
  const Skill lonely{"lonely", "", 1, [](const World&, Draws&, Language) {
                       Question question;
                       question.key = "the only one";
                       return question;
                     }};
  const World world(1, 8);
  Draws draws(1, "test", 0);
  for (const Split split : kSplits) {
    const auto draw = [&] { return draw_question(world, draws, Language::kEnglish, split, lonely); };
    if (split == split_of_content("the only one"))
      EXPECT_EQ(draw().skill, "lonely");
    else
      EXPECT_THAT(error_of(ErrorCode::kFailed, draw), HasSubstr("make the world larger"));
  }
}

TEST(Tinyworld, TheSmallestWorldHasQuestionsOfEverySkillInEverySplit) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const World world(seed, 1);
    Draws draws(seed, "test", 0);
    for (const Split split : kSplits)
      for (const Skill& skill : skills())
        EXPECT_NO_THROW(draw_question(world, draws, Language::kChinese, split, skill)) << skill.name;
  }
}

TEST(Tinyworld, WhatCannotBeMadeIsSaid) {
  const auto refused = [](auto change) {
    TinyworldOptions options;
    change(options);
    return error_of(ErrorCode::kUsage, [&] { Tinyworld{options}; });
  };
  EXPECT_THAT(refused([](auto& o) { o.kinds = {{"storys", 1}}; }), HasSubstr("did you mean story?"));
  EXPECT_THAT(refused([](auto& o) { o.kinds = {{"story", 0}}; }), HasSubstr("weight 0"));
  EXPECT_THAT(refused([](auto& o) { o.kinds = {{"story", -1}}; }), HasSubstr("from 0 to"));
  EXPECT_THAT(refused([](auto& o) { o.languages = {"fr"}; }), HasSubstr("'fr'"));
  EXPECT_THAT(refused([](auto& o) { o.languages = {}; }), HasSubstr("needs a language"));
  EXPECT_THAT(refused([](auto& o) { o.people = 0; }), HasSubstr("1 to 1000000 people"));
  EXPECT_THAT(refused([](auto& o) { o.long_sentences = 0; }), HasSubstr("sentences"));
}

}  // namespace
}  // namespace martlet::data
