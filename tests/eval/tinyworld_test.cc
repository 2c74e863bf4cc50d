// Tinyworld's questions, asked of a small random model: what it says is what it generates, and counting is
// right.

#include "eval/tinyworld.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/interrupt.h"
#include "data/tinyworld/tinyworld.h"
#include "infer/generate_text.h"
#include "support/chat_model.h"

namespace martlet::eval {
namespace {

using data::tinyworld::Question;

std::vector<Question> some_questions(int64_t count) {
  data::TinyworldOptions options;
  options.split = data::tinyworld::Split::kTest;
  return data::Tinyworld(options).questions(count);
}

class TinyworldScores : public ::testing::Test {
 protected:
  TinyworldScores()
      : directory_(3, 1024),
        model_(infer::LanguageModel::load(directory_.path())),
        format_(text::ChatFormat::load(directory_.path())) {}
  ~TinyworldScores() override { clear_interrupt(); }

  testing::ChatModelDirectory directory_;
  infer::LanguageModel model_;
  text::ChatFormat format_;
};

TEST_F(TinyworldScores, RepliesAreThoseOfTheModelToEachQuestionAlone) {
  std::vector<Question> questions = some_questions(9);
  AskOptions options{.batch = 4, .max_new_tokens = 6};
  const std::vector<Answered> answers = ask(model_, format_, questions, options);
  ASSERT_EQ(answers.size(), questions.size());
  for (size_t i = 0; i < questions.size(); ++i) {
    // The test model's template, written out.
    const std::vector<std::vector<int32_t>> prompt{model_.tokenizer().encode(
        "<user>" + questions[i].text + "<assistant>", {.add_special_tokens = false})};
    const infer::GenerationOptions generation{.max_new_tokens = 6, .stop_ids = model_.stop_ids()};
    EXPECT_EQ(answers[i].reply, infer::generate_text(model_, prompt, generation).front().text);
    EXPECT_FALSE(answers[i].right) << "a random model knows nothing";
  }
  // Where what it says is the answer, it is right.
  for (size_t i = 0; i < questions.size(); i += 2) questions[i].answer = answers[i].reply;
  options.batch = 3;
  const std::vector<Answered> again = ask(model_, format_, questions, options);
  for (size_t i = 0; i < questions.size(); ++i) {
    EXPECT_EQ(again[i].reply, answers[i].reply);
    EXPECT_EQ(again[i].right, i % 2 == 0) << answers[i].reply;
  }
}

TEST_F(TinyworldScores, AnInterruptEndsTheAsking) {
  request_interrupt();
  const std::vector<Question> questions = some_questions(2);
  EXPECT_ANY_THROW(ask(model_, format_, questions));
}

TEST(TinyworldScore, CountsBySkillAndLanguage) {
  const std::vector<Question> questions = some_questions(150);
  std::vector<Answered> answers(questions.size());
  // Right: all of one skill, and in the others what is asked in Chinese.
  const auto right = [&](const Question& question) {
    return question.skill == "addition" || question.language == data::tinyworld::Language::kChinese;
  };
  int64_t total_right = 0;
  for (size_t i = 0; i < questions.size(); ++i) {
    answers[i].right = right(questions[i]);
    total_right += answers[i].right ? 1 : 0;
  }
  const TinyworldScore score = score_of(questions, answers);
  EXPECT_EQ(score.all.total, 150);
  EXPECT_EQ(score.all.right, total_right);
  int64_t by_skill = 0, by_language = 0;
  for (const Score& skill : score.skills) {
    EXPECT_GT(skill.total, 0);
    by_skill += skill.total;
    if (skill.name == "addition") {
      EXPECT_EQ(skill.right, skill.total);
      EXPECT_EQ(skill.share(), 1);
      EXPECT_LT(skill.interval().low, 1);
    }
  }
  EXPECT_EQ(by_skill, 150);
  ASSERT_EQ(score.languages.size(), 2u);
  for (const Score& language : score.languages) {
    by_language += language.total;
    EXPECT_EQ(language.right == language.total, language.name == "zh");
  }
  EXPECT_EQ(by_language, 150);
}

TEST(TinyworldScore, QuestionsWithoutAnswersAreRefused) {
  const std::vector<Question> questions = some_questions(2);
  EXPECT_ANY_THROW(score_of(questions, {}));
}

}  // namespace
}  // namespace martlet::eval
