// Runs: stopped and taken up again to the same bits, rows of metrics once each.

#include "train/run.h"

#include <filesystem>

#include "base/expect_error.h"
#include "train/checkpoint.h"
#include "train/told_run.h"

namespace martlet::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Run, StoppedAndTakenUpAgainItGivesTheSameBitsWithEveryOptimizer) {
  for (const std::string& optimizer : optimizer_names()) {
    const TemporaryFolder folder;
    SmallRun whole(folder / "a", 5, trainer_options(), optimizer);
    const Told unbroken = run_through(whole, options_in(folder, "whole"));
    EXPECT_EQ(unbroken.outcome.steps_done, kSteps);
    EXPECT_FALSE(unbroken.outcome.interrupted);

    RunOptions options = options_in(folder, "broken");
    std::optional<SmallRun> run;
    for (const int64_t stop_after : {4, 5, 11}) {
      run.emplace(folder / "b", 5, trainer_options(), optimizer);
      const Told part = run_with(*run, options, [&](const StepMetrics& step) {
        if (step.step == stop_after) request_interrupt();
      });
      EXPECT_TRUE(part.outcome.interrupted);
      EXPECT_EQ(part.outcome.steps_done, stop_after + 1);
      options.resume = true;
    }
    run.emplace(folder / "b", 5, trainer_options(), optimizer);
    const Told rest = run_through(*run, options);
    EXPECT_THAT(rest.notes, ElementsAre("resumed at step 12"));
    EXPECT_EQ(run->values(), whole.values()) << optimizer;
    EXPECT_EQ(rows_of(folder / "broken.jsonl"), rows_of(folder / "whole.jsonl")) << optimizer;
    const EmaScope one(run->trainer->ema()), two(whole.trainer->ema());
    EXPECT_EQ(run->values(), whole.values()) << optimizer;
  }
}

TEST(Run, RowsOfStepsThatAreDoneAgainAreWrittenOnce) {
  const TemporaryFolder folder;
  SmallRun whole(folder / "a", 5, trainer_options());
  run_through(whole, options_in(folder, "whole"));
  RunOptions options = options_in(folder, "broken");
  options.checkpoint_seconds = 1e-9;
  options.keep_checkpoints = 100;
  SmallRun first(folder / "b", 5, trainer_options());
  run_with(first, options, [](const StepMetrics& step) {
    if (step.step == 8) request_interrupt();
  });
  // As a process that was killed while a row was being written, some steps behind its newest checkpoint.
  for (const CheckpointInfo& each : checkpoints_of(options.folder))
    if (each.step > 3) std::filesystem::remove_all(each.path);
  ASSERT_FALSE(checkpoints_of(options.folder).empty());
  write_file(options.metrics, read_file(options.metrics) + "{\"step\": 9, \"lo");
  SmallRun second(folder / "b", 5, trainer_options());
  options.resume = true;
  run_through(second, options);
  EXPECT_EQ(rows_of(options.metrics), rows_of(folder / "whole.jsonl"));
  EXPECT_EQ(second.values(), whole.values());
}

TEST(Run, CheckpointsWrittenMeanwhileAreOfTheStepThatTheyName) {
  const TemporaryFolder folder;
  RunOptions options = options_in(folder, "run");
  options.checkpoint_seconds = 1e-9;
  options.keep_checkpoints = 100;
  SmallRun run(folder / "a", 5, trainer_options());
  std::vector<std::vector<float>> values;
  run_with(run, options, [&](const StepMetrics&) { values.push_back(run.values()); });
  const std::vector<CheckpointInfo> all = checkpoints_of(options.folder);
  EXPECT_GE(all.size(), 2u);
  EXPECT_EQ(all.front().step, kSteps);
  for (const CheckpointInfo& each : all) {
    SmallRun reader(folder / "a", 5, trainer_options(), "adamw", 60);
    read_checkpoint(each.path, *reader.model, *reader.trainer);
    EXPECT_EQ(reader.values(), values[static_cast<size_t>(each.step - 1)]) << each.step;
  }
}

TEST(Run, WhatAProcessLeftThatDiedInItsFirstCheckpointGoes) {
  const TemporaryFolder folder;
  RunOptions options = options_in(folder, "run");
  std::filesystem::create_directories(checkpoint_path(options.folder, 5) + ".abcdef");
  options.resume = true;
  SmallRun run(folder / "a", 5);
  const Told told = run_through(run, options);
  EXPECT_TRUE(told.notes.empty()) << told.text();
  EXPECT_FALSE(std::filesystem::exists(checkpoint_path(options.folder, 5) + ".abcdef"));
}

TEST(Run, WithoutAUsableCheckpointItSaysWhy) {
  const TemporaryFolder folder;
  RunOptions options = options_in(folder, "run");
  SmallRun run(folder / "a", 5);
  run_through(run, options);
  for (const CheckpointInfo& each : checkpoints_of(options.folder))
    write_file(each.path + "/state.json", "{}");
  options.resume = true;
  SmallRun again(folder / "a", 5);
  EXPECT_THAT(bad_input_of([&] { run_through(again, options); }),
              HasSubstr("no checkpoint of the run can be used"));
}

}  // namespace
}  // namespace martlet::train
