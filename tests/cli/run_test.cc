// `run`, `embed` and `eval` as a person or a script calls them.

#include <chrono>
#include <cmath>
#include <cstdio>
#include <gmock/gmock.h>
#include <map>

#include "base/json.h"
#include "cli/lines.h"
#include "data/tinyworld/tinyworld.h"
#include "formats/npy.h"
#include "run_program.h"
#include "support/chat_model.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class RunVerb : public ::testing::Test {
 protected:
  std::vector<Json> rows(const std::string& words) {
    const Outcome outcome = run(scratch_, "run " + model_.path() + " --json " + words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    std::vector<Json> rows;
    for (const std::string& line : lines_of(outcome.out)) rows.push_back(Json::parse(line, "row"));
    return rows;
  }
  std::string prompts_file(const std::string& lines) {
    const std::string path = scratch_.path() + "/prompts.jsonl";
    write_file(path, lines);
    return path;
  }
  void expect_failure(const std::string& words, int code, const std::string& says) {
    const Outcome outcome = run(scratch_, words);
    EXPECT_EQ(outcome.code, code) << words;
    EXPECT_THAT(outcome.err, HasSubstr(says));
    EXPECT_THAT(outcome.err, StartsWith("martlet: "));
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << "one sentence";
  }

  Scratch scratch_;
  testing::ChatModelDirectory model_{5, 64};
};

TEST_F(RunVerb, RowsComeInOrderForEveryKindOfPromptAndFromStandardInput) {
  const std::string lines =
      "{\"prompt\": \"high\"}\n\n{\"ids\": [1, 2, 3]}\r\n"
      "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}\n{\"prompt\": \"\\u00e9\"}\n";
  const std::string file = prompts_file(lines);
  const auto alone = rows("-n 6 --prompts " + file + " --batch 1 --temp 1");
  const auto together = rows("-n 6 --prompts - --temp 1 <" + file);
  ASSERT_EQ(alone.size(), 4u);
  const int64_t sizes[] = {4, 3, static_cast<int64_t>(std::string("<user>hi<assistant>").size()), 1};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(alone[i].at("ids"), together[i].at("ids"));
    EXPECT_EQ(alone[i].at("text"), together[i].at("text"));
    EXPECT_EQ(alone[i].at("prompt_tokens").integer(), sizes[i]);
    EXPECT_EQ(alone[i].at("finish").string(), "length");
    EXPECT_GT(alone[i].at("tokens_per_s").real(), 0);
  }
}

TEST_F(RunVerb, RowsOfAGroupComeBeforeTheNextGroupRuns) {
  std::string lines;
  for (int i = 0; i < 200; ++i) lines += "{\"ids\": [1, 2, 3]}\n";
  const std::string command = std::string(MARTLET_PROGRAM) + " run " + model_.path() +
                              " --json -n 30 --batch 1 --prompts " + prompts_file(lines);
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  std::FILE* rows = popen(command.c_str(), "r");
  ASSERT_NE(rows, nullptr);
  char buffer[4096];
  ASSERT_NE(std::fgets(buffer, sizeof buffer, rows), nullptr);
  const Clock::time_point first = Clock::now();
  while (std::fgets(buffer, sizeof buffer, rows) != nullptr) {
  }
  const Clock::time_point end = Clock::now();
  EXPECT_EQ(pclose(rows), 0);
  EXPECT_LT(first - start, (end - start) / 2);
}

TEST_F(RunVerb, TextIsWhatTheRowsSay) {
  const auto expected = rows("-p swallow -p nest -n 12 --temp 1 --seed 4");
  const Outcome text = run(scratch_, "run " + model_.path() + " -p swallow -p nest -n 12 --temp 1 --seed 4");
  EXPECT_EQ(text.out, expected[0].at("text").string() + "\n\n" + expected[1].at("text").string() + "\n");
  const Outcome one_by_one =
      run(scratch_, "run " + model_.path() + " -p swallow -p nest -n 12 --temp 1 --seed 4 --batch 1");
  EXPECT_EQ(one_by_one.out, text.out);
}

TEST_F(RunVerb, StopsBeforeTextsAndTokens) {
  const auto free = rows("-p swallow -n 12");
  const std::vector<Json>& ids = free[0].at("ids").array();
  const std::string third = ids[2].dump();
  const auto by_token = rows("-p swallow -n 12 --stop-token " + third);
  EXPECT_EQ(by_token[0].at("finish").string(), "stop");
  EXPECT_LE(by_token[0].at("ids").array().size(), 2u);
  write_file(scratch_.path() + "/text", free[0].at("text").string().substr(0, 1));
  const auto by_text = rows("-p swallow -n 12 --stop \"$(cat " + scratch_.path() + "/text)\"");
  EXPECT_EQ(by_text[0].at("finish").string(), "stop");
  EXPECT_EQ(by_text[0].at("text").string(), "");
  expect_failure("run " + model_.path() + " -p a --stop ''", 2, "stop text");
  expect_failure("run " + model_.path() + " -p a --stop-token '<none>'", 2, "--stop-token");
}

TEST_F(RunVerb, APromptLongerThanTheContextIsAnErrorUnlessThePolicySaysOtherwise) {
  const std::string file =
      prompts_file("{\"prompt\": \"a\"}\n{\"prompt\": \"" + std::string(70, 'b') + "\"}\n");
  const std::string words = "run " + model_.path() + " --json -n 3 --prompts " + file;
  expect_failure(words, 3, "prompt 2: the prompt has 70 tokens and the model's context 64");
  EXPECT_EQ(run(scratch_, words + " --context slide").code, 0);
}

TEST_F(RunVerb, SaysWhatIsWrongWithALine) {
  const std::string words = "run " + model_.path() + " --prompts " + scratch_.path() + "/prompts.jsonl";
  const std::pair<const char*, const char*> cases[] = {
      {"{\"prompt\": \"a\"}\n{\"prompt\": 3}\n", "prompts.jsonl:2: 'prompt' must be text"},
      {"{}", "prompts.jsonl:1: expected one of prompt, messages, ids"},
      {"[1]", "prompts.jsonl:1: expected a table"},
      {"\n", "holds no prompts"},
      {"{\"ids\": [1, 999]}", "token id 999"},
      {"{\"ids\": []}", "without tokens"},
      {"{\"messages\": [], \"tools\": 3", "prompts.jsonl:1"}};
  for (const auto& [lines, says] : cases) {
    prompts_file(lines);
    expect_failure(words, 3, says);
  }
  expect_failure("run " + model_.path(), 2, "needs one of -p");
  expect_failure("run " + model_.path() + " -p a --top-p 0", 2, "top-p");
}

TEST_F(RunVerb, EmbedGivesVectorsAsTextRowsAndArray) {
  const std::string base = "embed " + model_.path() + " -p swallow -p nest ";
  const Outcome rows = run(scratch_, base + "--json --normalize");
  ASSERT_EQ(rows.code, 0) << rows.err;
  double square = 0;
  const Json first = Json::parse(lines_of(rows.out).at(0), "row");
  for (const Json& value : first.at("embedding").array()) square += value.real() * value.real();
  EXPECT_NEAR(square, 1, 1e-5);
  EXPECT_EQ(first.at("tokens").integer(), 7);
  const std::string file = scratch_.path() + "/v.npy";
  EXPECT_EQ(run(scratch_, base + "--pooling cls -o " + file).out, "");
  EXPECT_EQ(formats::read_npy(file).shape(), Shape({2, 32}));
  EXPECT_EQ(lines_of(run(scratch_, base).out).size(), 2u);
  expect_failure("embed " + model_.path() + " -p a --pooling max", 2, "mean, cls");
  expect_failure("embed " + model_.path(), 2, "needs one of -p");
  EXPECT_EQ(run(scratch_, base + "--memory 1G").out, run(scratch_, base).out);
  const Outcome little = run(scratch_, base + "--memory 1M");
  EXPECT_EQ(little.code, 4);
  EXPECT_THAT(little.err, HasSubstr("the smallest that would do is"));
  EXPECT_EQ(little.err.find("--kv-cache"), std::string::npos) << "embed has none: " << little.err;
}

TEST_F(RunVerb, ExplainTakesWhatGuesses) {
  const std::string base = "explain run " + model_.path() + " --prompt-tokens 8 -n 40 --json ";
  const Json guessed = Json::parse(run(scratch_, base + "--analyze --speculate ngram --draft 3").out, "plan");
  EXPECT_GT(guessed.at("measured").at("drafted").integer(), 0);
  EXPECT_GE(guessed.at("measured").at("drafted").integer(), guessed.at("measured").at("accepted").integer());
  const Outcome people =
      run(scratch_, "explain run " + model_.path() + " --speculate early:1 -n 8 --prompt-tokens 8");
  EXPECT_THAT(people.out, HasSubstr("guesses that hold"));
  expect_failure(base + "--speculate nagram", 3, "--speculate takes off, ngram, early, early:N or a model");
}

TEST_F(RunVerb, ExplainLeavesOutNothingThatIsApplied) {
  const Json plan = Json::parse(run(scratch_, "explain run " + model_.path() +
                                                  " --prompt-tokens 8 -n 8 --json --rewrite 'cast to=bf16' "
                                                  "--skip-rewrite low_rank")
                                    .out,
                                "plan");
  std::map<std::string, std::string> reasons;
  for (const Json& each : plan.at("rejected").array())
    reasons[each.at("name").string()] = each.at("reason").string();
  EXPECT_FALSE(reasons.contains("cast"));
  EXPECT_EQ(reasons["low_rank"], "it was to be left out");
  EXPECT_THAT(reasons["quantize"], HasSubstr("would save"));
}

TEST_F(RunVerb, EvalLossOfTextAndLines) {
  const std::string text = scratch_.path() + "/t.txt", lines = scratch_.path() + "/t.jsonl";
  write_file(text, "the swallow");
  write_file(lines, "{\"text\": \"the swallow\"}\n{\"ids\": [4]}\n");
  const auto loss = [&](const std::string& file) {
    const Outcome outcome = run(scratch_, "eval loss " + model_.path() + " " + file + " --json");
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(outcome.out, "loss");
  };
  const Json one = loss(text);
  EXPECT_EQ(loss(lines).at("loss"), one.at("loss"));
  EXPECT_EQ(loss("- <" + text).at("loss"), one.at("loss"));
  EXPECT_NEAR(one.at("perplexity").real(), std::exp(one.at("loss").real()),
              1e-9 * one.at("perplexity").real());
  EXPECT_THAT(run(scratch_, "eval loss " + model_.path() + " " + text).out, HasSubstr("perplexity"));
  write_file(text, "");
  expect_failure("eval loss " + model_.path() + " " + text, 3, "no token to predict");
  expect_failure("eval loss " + model_.path() + " " + text + " --seq 65", 2, "context is 64");
  expect_failure("eval los " + model_.path() + " " + text, 2, "loss");
  expect_failure("eval loss " + model_.path() + " " + scratch_.path() + "/none.txt", 3, "none.txt");
}

TEST_F(RunVerb, EvalTinyworldAsksHeldOutQuestions) {
  const testing::ChatModelDirectory model(5, 1024);
  const std::string call = "eval tinyworld " + model.path() + " --questions 5 --seed 3";
  const Outcome rows = run(scratch_, call + " --json");
  ASSERT_EQ(rows.code, 0) << rows.err;
  const std::vector<std::string> lines = lines_of(rows.out);
  ASSERT_EQ(lines.size(), 6u);
  data::TinyworldOptions options;
  options.seed = 3;
  options.split = data::tinyworld::Split::kTest;
  const auto questions = data::Tinyworld(options).questions(5);
  for (size_t i = 0; i < 5; ++i) {
    const Json row = Json::parse(lines[i], "row");
    EXPECT_EQ(row.at("question").string(), questions[i].text);
    EXPECT_EQ(row.at("right").boolean(), is_right(questions[i], row.at("reply").string()));
  }
  const Json score = Json::parse(lines[5], "score");
  EXPECT_EQ(score.at("total").integer(), 5);
  EXPECT_EQ(score.at("right").integer(), 0);
  // The interval of 0 of 5: z^2 / (5 + z^2).
  EXPECT_NEAR(score.at("high").real(), 0.4345, 1e-4);
  const Outcome table = run(scratch_, call);
  EXPECT_THAT(table.out, HasSubstr("0 of 5 right: 0.0 % (95 % interval 0.0 to 43.4 %)"));
  EXPECT_THAT(table.out, HasSubstr("recall"));
  expect_failure("eval tinyworld " + model.path() + " --split tests", 2, "test");
}

}  // namespace
}  // namespace martlet::cli
