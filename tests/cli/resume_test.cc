// `train --resume`: a run goes on as it began, or says what differs.

#include <gmock/gmock.h>

#include "base/json.h"
#include "run_program.h"
#include "support/chat_model.h"

namespace martlet::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Resume : public ::testing::Test {
 protected:
  Resume() {
    std::string text;
    for (int row = 0; row < 60; ++row)
      text += "{\"text\": \"row " + std::to_string(row * 7 % 60) + " of the data\"}\n";
    write_file(path("rows.jsonl"), text);
    write_file(path("other.jsonl"), text);
  }
  std::string path(const std::string& name) const { return scratch.path() + "/" + name; }
  Outcome train(const std::string& words, const std::string& name = "run") const {
    return run(scratch,
               "train --init " + model.path() + " --out " + path(name) + " --seq 32 --batch 2 " + words);
  }
  /// A run of three steps that was stopped: without a model under its name.
  void begin(const std::string& words = "") const {
    const Outcome outcome = train("--steps 3 --validation 0.2 --data " + path("rows.jsonl") + " " + words);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }

  Scratch scratch;
  testing::ChatModelDirectory model{1};
};

TEST_F(Resume, WhatWouldChangeTheLossesIsRefusedWithBothValues) {
  begin();
  const std::string same = "--steps 5 --validation 0.2 --data " + path("rows.jsonl") + " --resume ";
  for (const auto& [changed, then, now] : std::vector<std::array<std::string, 3>>{
           {"--validation 0.3", "--validation 0.2", "--validation 0.3"},
           {"--batch 4", "--batch 2", "--batch 4"},
           {"--seq 16", "--seq 32", "--seq 16"},
           {"--learning-rate 0.1", "--learning-rate 0.001", "--learning-rate 0.1"},
           {"--seed 2", "--seed 1", "--seed 2"},
           {"--dtype bf16", "--dtype f32", "--dtype bf16"},
           {"--optimizer lion", "--optimizer adamw", "--optimizer lion"},
           {"--schedule linear", "--schedule cosine", "--schedule linear"},
           {"--rewrite recompute", "no --rewrite", "--rewrite recompute"},
           {"--data " + path("other.jsonl"), "--data " + path("rows.jsonl"),
            "--data " + path("rows.jsonl") + " --data " + path("other.jsonl")}}) {
    const Outcome outcome = train(same + changed);
    EXPECT_EQ(outcome.code, 3) << changed;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("the run began with " + then), HasSubstr("go on with " + now)));
    EXPECT_THAT(outcome.err, HasSubstr("what may always change are --steps, --threads"));
  }
  const Outcome two = train(same + "--batch 4 --clip 2");
  EXPECT_THAT(two.err, HasSubstr("began with --batch 2, --clip 1 and is to go on with --batch 4, --clip 2"));
  EXPECT_THAT(two.err, HasSubstr("--change batch --change clip"));
}

TEST_F(Resume, WhatChangesNoLossMayDiffer) {
  begin();
  const Outcome outcome = train(
      "--steps 5 --validation 0.2 --resume --threads 1 --keep 3 --eval-every 2 --name again --metrics " +
      path("m.jsonl") + " --checkpoint-every 9 --memory 8G --on-spike stop --data " + path("rows.jsonl"));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("resumed at step 3"));
}

TEST_F(Resume, ARecipeIsComparedAsFlagsAre) {
  begin("--learning-rate 0.01");
  const auto recipe = [&](const std::string& rate) {
    write_file(path("recipe.toml"), "[data]\ndata = [\"" + path("rows.jsonl") +
                                        "\"]\nvalidation = 0.2\n[train]\nsteps = 5\nlearning_rate = " + rate +
                                        "\n");
    return train(path("recipe.toml") + " --resume");
  };
  const Outcome changed = recipe("0.02");
  EXPECT_EQ(changed.code, 3);
  EXPECT_THAT(changed.err,
              HasSubstr("began with --learning-rate 0.01 and is to go on with --learning-rate 0.02"));
  EXPECT_EQ(recipe("1e-2").code, 0);
}

TEST_F(Resume, WhatIsNamedMayChange) {
  begin();
  const std::string same = "--steps 5 --validation 0.2 --resume --learning-rate 0.0005 --clip 2 --data " +
                           path("rows.jsonl") + " ";
  EXPECT_THAT(train(same + "--change learning-rate").err,
              AllOf(HasSubstr("--clip 1"), Not(HasSubstr("--learning-rate 0"))));
  const Outcome unknown = train(same + "--change learning-rat");
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean learning_rate?"));
  EXPECT_EQ(train(same + "--change learning-rate --change clip").code, 0);
  // From now on, these are the run's.
  EXPECT_EQ(train("--steps 6 --validation 0.2 --resume --learning-rate 0.0005 --clip 2 --data " +
                  path("rows.jsonl"))
                .code,
            0);
}

TEST_F(Resume, OptionsThatNoCheckpointTakesAreNotRemembered) {
  begin();
  const std::string same = "--steps 5 --validation 0.2 --resume --data " + path("rows.jsonl");
  const Outcome refused = train(same + " --optimizer lion --change optimizer");
  EXPECT_EQ(refused.code, 3);
  EXPECT_THAT(refused.err,
              AllOf(HasSubstr("no checkpoint of the run can be used"), HasSubstr("the optimiser adamw")));
  EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
  EXPECT_EQ(train(same).code, 0);
}

TEST_F(Resume, WithoutTheLogTheCurveBeginsWhereItsRowsDo) {
  const std::string data = " --schedule constant --no-log --name same --data " + path("rows.jsonl");
  ASSERT_EQ(train("--steps 6 --metrics " + path("whole.jsonl") + data, "whole").code, 0);
  ASSERT_EQ(train("--steps 3 --metrics " + path("m.jsonl") + data).code, 0);
  Outcome outcome = train("--steps 6 --resume --metrics " + path("m.jsonl") + data);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, Not(HasSubstr("the curve begins")));
  EXPECT_EQ(read_file(path("run/curve.svg")), read_file(path("whole/curve.svg")));

  ASSERT_EQ(train("--steps 3" + data, "bare").code, 0);
  outcome = train("--steps 6 --resume" + data, "bare");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              HasSubstr("the curve begins at step 4, for without the log of runs only --metrics"));
  EXPECT_NE(read_file(path("bare/curve.svg")), read_file(path("whole/curve.svg")));
}

}  // namespace
}  // namespace martlet::cli
