// `explain train`, and what `train` says of memory before its first step.

#include <gmock/gmock.h>

#include "base/json.h"
#include "run_program.h"
#include "support/chat_model.h"

namespace martlet::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ExplainTrain : public ::testing::Test {
 protected:
  ExplainTrain() {
    std::string rows;
    for (int row = 0; row < 64; ++row) {
      rows += "{\"ids\": [96";
      for (int i = 0; i < 40; ++i) rows += fmt::format(", {}", (row * 31 + i * i * 7) % 97);
      rows += "]}\n";
    }
    write_file(data_, rows);
    EXPECT_EQ(run(scratch_, "data tokens --data " + data_ + " --vocabulary 97 -o " + tokens_).code, 0);
  }

  std::string words(const std::string& more) const {
    return fmt::format("--model hidden=64,layers=24,heads=4 --data {} --seq 64 --batch 16 --steps 3 {}",
                       tokens_, more);
  }
  Json explained(const std::string& more, int code = 0) {
    const Outcome outcome = run(scratch_, "explain train " + words(more) + " --json");
    EXPECT_EQ(outcome.code, code) << outcome.err;
    return Json::parse(outcome.out, "explain");
  }

  Scratch scratch_;
  testing::ChatModelDirectory chat_{1};
  std::string data_ = scratch_.path() + "/data.jsonl";
  std::string tokens_ = scratch_.path() + "/tokens";
};

TEST_F(ExplainTrain, PutsMeasuredMemoryBesidePredictedWithinAFifth) {
  for (const std::string rewrite : {"", "--rewrite recompute", "--rewrite 'freeze pattern=layers.{0..11}'"}) {
    const Json plan = explained("--analyze " + rewrite);
    const Json& predicted = plan.at("predicted");
    const Json& measured = plan.at("measured");
    for (const std::string_view part :
         {"weight_bytes", "gradient_bytes", "optimiser_bytes", "activation_bytes", "total_bytes"}) {
      const auto found = static_cast<double>(measured.at(part).integer());
      EXPECT_NEAR(static_cast<double>(predicted.at(part).integer()), found, 0.2 * found)
          << part << " " << rewrite;
    }
    EXPECT_GT(predicted.at("step_s").real(), 0);
    EXPECT_GT(measured.at("step_s").real(), 0);
    EXPECT_NEAR(predicted.at("tokens_per_s").real() * predicted.at("step_s").real(), 16 * 64, 1);
    EXPECT_TRUE(plan.at("fits").boolean());
  }
}

TEST_F(ExplainTrain, PutsTheDatasAndTheProcessesMemoryBesidePredicted) {
  std::string row = "{\"ids\": [96";
  for (int i = 0; i < 1000; ++i) row += ", " + std::to_string(i % 97);
  std::string rows;
  for (int i = 0; i < 3000; ++i) rows += row + "]}\n";
  write_file(data_, rows);
  const std::string many = scratch_.path() + "/many";
  ASSERT_EQ(run(scratch_, "data tokens --data " + data_ + " --vocabulary 97 -o " + many).code, 0);
  const Json plan = explained("--analyze --data " + many);
  constexpr int64_t kPage = 4096;
  const int64_t data = plan.at("predicted").at("data_bytes").integer();
  EXPECT_GT(data, 3000 * 1001 * 2);
  // Shards are mapped in whole pages; indexes and batches are no pages of files.
  EXPECT_NEAR(static_cast<double>(plan.at("measured").at("data_bytes").integer()), static_cast<double>(data),
              0.02 * static_cast<double>(data) + 8 * kPage);
  // What is counted for a program without a tokenizer or a checkpoint is more than this one takes.
  const int64_t predicted = plan.at("predicted").at("resident_bytes").integer();
  const int64_t measured = plan.at("measured").at("resident_bytes").integer();
  EXPECT_LE(measured, predicted + predicted / 20);
  EXPECT_GE(measured, predicted - predicted / 20 - (48 << 20));
  EXPECT_GT(measured, plan.at("measured").at("total_bytes").integer() + data);
  // Text is tokens only once it is cut.
  const Outcome text =
      run(scratch_, fmt::format("explain train --init {} --data {} --seq 16 --steps 1", chat_.path(), data_));
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("shows when it is tokens"), Not(HasSubstr("data, mapped"))));
}

TEST_F(ExplainTrain, TellsThePlanInText) {
  const Outcome outcome = run(scratch_, "explain train " + words("--rewrite 'freeze pattern=embed_tokens'"));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("3 steps of 1024 tokens (16 sequences of 64), adamw"),
                                 HasSubstr("freeze pattern=embed_tokens: 1 module; asked for"),
                                 HasSubstr("recompute: a step fits without it"), HasSubstr("optimiser"),
                                 HasSubstr("whole run"), HasSubstr("time goes to: "), HasSubstr(": fits\n")));
  EXPECT_THAT(outcome.out, Not(HasSubstr("measured")));
}

TEST_F(ExplainTrain, TheBudgetTurnsRecomputeOnAndTrainDoesWhatWasExplained) {
  const auto plain = explained("").at("predicted").at("process_bytes").integer();
  const std::string budget = fmt::format("--memory {}", plain - (1 << 20));
  const Json plan = explained(budget);
  ASSERT_EQ(plan.at("rewrites").array().size(), 1u);
  EXPECT_EQ(plan.at("rewrites").array()[0].at("name").string(), "recompute");
  EXPECT_THAT(plan.at("rewrites").array()[0].at("reason").string(), HasSubstr("without it a step takes"));
  const std::string out = scratch_.path() + "/model";
  const Outcome trained = run(scratch_, "train " + words(budget) + " --out " + out);
  EXPECT_EQ(trained.code, 0) << trained.err;
  EXPECT_THAT(trained.err,
              AllOf(HasSubstr("recompute pattern=layers.*: 24 modules"), HasSubstr("turned on")));
  // The same weights as without: it changes no bit.
  const std::string free = scratch_.path() + "/free";
  EXPECT_EQ(run(scratch_, "train " + words("--out " + free)).code, 0);
  EXPECT_EQ(read_file(out + "/model.safetensors"), read_file(free + "/model.safetensors"));
}

TEST_F(ExplainTrain, TooLittleIsToldBeforeTheFirstStepWithWhatWouldFit) {
  const auto plain = explained("--batch 2 --rewrite recompute").at("predicted").at("process_bytes").integer();
  const std::string budget = fmt::format("--batch 512 --memory {}", plain + (2 << 20));
  const Json plan = explained(budget, 4);
  EXPECT_FALSE(plan.at("fits").boolean());
  const int64_t fitting = plan.at("fitting_batch").integer();
  EXPECT_GE(fitting, 2);
  const std::string out = scratch_.path() + "/model";
  const Outcome refused = run(scratch_, "train " + words(budget) + " --out " + out);
  EXPECT_EQ(refused.code, 4);
  EXPECT_THAT(refused.err, HasSubstr(fmt::format("--batch {} fits with recompute", fitting)));
  EXPECT_FALSE(is_directory(out)) << "nothing was begun";
  EXPECT_EQ(run(scratch_, "train " + words(fmt::format("{} --batch {} --out {}", budget, fitting, out))).code,
            0);
  const Outcome hopeless = run(scratch_, "train " + words("--memory 1M --out " + out + "2"));
  EXPECT_EQ(hopeless.code, 4);
  EXPECT_THAT(hopeless.err, HasSubstr("parameters alone take"));
}

TEST_F(ExplainTrain, RefusesWhatTrainRefuses) {
  const Outcome outcome = run(scratch_, "explain train --model 7m --data " + tokens_);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--steps"));
  EXPECT_EQ(run(scratch_, "explain trains x").code, 2);
}

}  // namespace
}  // namespace martlet::cli
