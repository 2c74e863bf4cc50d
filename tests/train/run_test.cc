// Runs: stopped and taken up again to the same bits, rows of metrics once each, spikes, evaluation, best.

#include "train/run.h"

#include <cmath>
#include <csignal>
#include <filesystem>
#include <limits>
#include <sys/resource.h>

#include "base/expect_error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/temporary_folder.h"
#include "train/checkpoint.h"
#include "train/small_run.h"

namespace martlet::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kSteps = 14;

TrainerOptions trainer_options() {
  return {.schedule = {.peak = 0.01, .steps = kSteps, .warmup = 3},
          .accumulate = 2,
          .ema = 0.9,
          .spike_factor = 9};
}

RunOptions options_in(const TemporaryFolder& folder, const std::string& name) {
  RunOptions options;
  options.folder = folder / name;
  options.metrics = folder / (name + ".jsonl");
  options.steps = kSteps;
  options.checkpoint_seconds = 0;
  return options;
}

struct Told {
  std::vector<StepMetrics> steps;
  std::vector<std::string> notes;
  RunOutcome outcome;

  /// All notes as one text.
  std::string text() const {
    std::string all;
    for (const std::string& note : notes) all += note + "\n";
    return all;
  }
};

/// Runs, and calls `after(step)` when a step has been told.
template <typename After>
Told run_with(SmallRun& run, const RunOptions& options, After after) {
  clear_interrupt();
  Told told;
  told.outcome = run_training(
      *run.model, *run.trainer, options,
      [&](const StepMetrics& step) {
        told.steps.push_back(step);
        after(step);
      },
      [&](const std::string& note) { told.notes.push_back(note); });
  clear_interrupt();
  return told;
}

Told run_through(SmallRun& run, const RunOptions& options) {
  return run_with(run, options, [](const StepMetrics&) {});
}

/// The rows of a metrics file without what time and memory say.
std::vector<std::string> rows_of(const std::string& path) {
  std::vector<std::string> rows;
  const std::string text = read_file(path);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    Json row = Json::parse(text.substr(begin, end - begin), path);
    std::erase_if(row.object(), [](const Json::Member& member) {
      return member.first == "tokens_per_s" || member.first == "memory_bytes";
    });
    rows.push_back(row.dump());
    begin = end + 1;
  }
  return rows;
}

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

/// Makes the model's scores useless for one step, then puts them right.
class Poison {
 public:
  explicit Poison(nn::Model& model) {
    nn::walk_parameters(model, [&](const std::string& path, nn::Parameter& parameter) {
      if (path == "norm.weight") weight_ = parameter.tensor().detach();
    });
  }
  void put(float factor) {
    before_ = weight_.clone();
    std::vector<float> values = weight_.to_vector<float>();
    for (float& value : values) value *= factor;
    weight_.copy_elements(Tensor::from(values, weight_.shape()));
  }
  void take_away() { weight_.copy_elements(before_); }

 private:
  Tensor weight_, before_;
};

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Spikes, AStepThatIsNotFiniteIsSkippedAndSaid) {
  const TemporaryFolder folder;
  SmallRun run(folder / "a", 5, trainer_options());
  Poison poison(*run.model);
  std::vector<float> before;
  const Told told = run_with(run, options_in(folder, "run"), [&](const StepMetrics& step) {
    if (step.step == 3) {
      before = run.values();
      poison.put(kNan);
    }
    if (step.step == 4) {
      poison.take_away();
      EXPECT_FALSE(step.finite);
      EXPECT_EQ(run.values(), before);
    }
  });
  EXPECT_THAT(told.text(), HasSubstr("step 4: the loss is nan"));
  EXPECT_THAT(told.text(), HasSubstr("the step was skipped"));
  EXPECT_EQ(told.steps.size(), static_cast<size_t>(kSteps));
  EXPECT_TRUE(told.steps.back().finite);
}

TEST(Spikes, RewindGoesBackToTheCheckpointAndOnWithTheNextData) {
  const TemporaryFolder folder;
  RunOptions options = options_in(folder, "run");
  options.on_spike = SpikePolicy::kRewind;
  SmallRun first(folder / "a", 5, trainer_options());
  run_with(first, options, [](const StepMetrics& step) {
    if (step.step == 2) request_interrupt();
  });
  options.resume = true;
  SmallRun run(folder / "a", 5, trainer_options());
  Poison poison(*run.model);
  bool poisoned = false;
  const Told told = run_with(run, options, [&](const StepMetrics& step) {
    if (step.step == 4 && !std::exchange(poisoned, true)) poison.put(kNan);
  });
  std::vector<int64_t> steps;
  for (const StepMetrics& step : told.steps) steps.push_back(step.step);
  EXPECT_THAT(steps, ElementsAre(3, 4, 5, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13));
  EXPECT_THAT(told.text(), HasSubstr("went back to step 3"));
  // Three good steps, three that were undone with their data passed over, eleven more; two batches each.
  EXPECT_EQ(run.batches.position().step, 2 * (3 + 3 + 11));
  EXPECT_EQ(rows_of(options.metrics).size(), static_cast<size_t>(kSteps));
}

TEST(Spikes, RewindWithoutACheckpointSkips) {
  const TemporaryFolder folder;
  RunOptions options = options_in(folder, "run");
  options.on_spike = SpikePolicy::kRewind;
  SmallRun run(folder / "a", 5, trainer_options());
  Poison poison(*run.model);
  const Told told = run_with(run, options, [&](const StepMetrics& step) {
    if (step.step == 3) poison.put(kNan);
    if (step.step == 4) poison.take_away();
  });
  EXPECT_THAT(told.text(), HasSubstr("there is no checkpoint to go back to"));
  EXPECT_EQ(told.outcome.steps_done, kSteps);
}

TEST(Spikes, StopEndsTheRunWhichIsSaved) {
  const TemporaryFolder folder;
  RunOptions options = options_in(folder, "run");
  options.on_spike = SpikePolicy::kStop;
  SmallRun run(folder / "a", 5, trainer_options());
  Poison poison(*run.model);
  const auto go = [&] {
    run_with(run, options, [&](const StepMetrics& step) {
      if (step.step == 3) poison.put(kNan);
      if (step.step == 4) poison.take_away();
    });
  };
  EXPECT_THAT(error_of(ErrorCode::kFailed, go), HasSubstr("step 4: the loss is nan"));
  ASSERT_EQ(checkpoints_of(options.folder).size(), 1u);
  EXPECT_EQ(checkpoints_of(options.folder).front().step, 5);
}

TEST(Spikes, TooManyInARowEndTheRun) {
  const TemporaryFolder folder;
  RunOptions options = options_in(folder, "run");
  options.most_spikes = 4;
  SmallRun run(folder / "a", 5, trainer_options());
  Poison(*run.model).put(kNan);
  int64_t steps = 0;
  EXPECT_THAT(
      error_of(ErrorCode::kFailed, [&] { run_with(run, options, [&](const StepMetrics&) { ++steps; }); }),
      HasSubstr("5 such steps in a row"));
  EXPECT_EQ(steps, 5);
}

TEST(Spikes, AFiniteLossFarAboveTheRecentOnesIsOneToo) {
  const TemporaryFolder folder;
  TrainerOptions trainer = trainer_options();
  trainer.schedule.steps = 70;
  RunOptions options = options_in(folder, "run");
  options.steps = 70;
  SmallRun run(folder / "a", 5, trainer);
  Poison poison(*run.model);
  const Told told = run_with(run, options, [&](const StepMetrics& step) {
    if (step.step == 59) poison.put(-40);
    if (step.step == 60) poison.take_away();
  });
  for (const StepMetrics& step : told.steps) EXPECT_EQ(step.spike, step.step == 60) << step.step;
  EXPECT_THAT(told.text(), HasSubstr("stands far above the recent"));
}

TEST(Evaluation, HappensWhenItIsDueAndAtTheEndWithTheAverages) {
  const TemporaryFolder folder;
  const data::TokenSet held = data::token_set_of(rule_documents(90, 30), folder / "held");
  HeldOut held_out({held}, {.seq = 16, .batch = 4}, 0), again({held}, {.seq = 16, .batch = 4}, 0);
  RunOptions options = options_in(folder, "run");
  options.held_out = &held_out;
  options.eval_every = 4;
  options.sample_every = 6;
  SmallRun run(folder / "a", 5, trainer_options());
  options.sample = [&] { return fmt::format("loss {}", again.loss(*run.model)); };
  std::vector<std::string> expected_samples;
  const Told told = run_with(run, options, [&](const StepMetrics& step) {
    const bool due = step.step % 4 == 3 || step.step == kSteps - 1;
    EXPECT_EQ(step.eval_loss.has_value(), due) << step.step;
    const EmaScope averages(run.trainer->ema());
    if (due) {
      EXPECT_EQ(*step.eval_loss, again.loss(*run.model));
    }
    if (step.step % 6 == 5)
      expected_samples.push_back(
          fmt::format("after step {} it says: loss {}", step.step + 1, again.loss(*run.model)));
  });
  EXPECT_EQ(told.notes, expected_samples);
  const std::vector<std::string> rows = rows_of(options.metrics);
  EXPECT_THAT(rows[3], HasSubstr(fmt::format("\"eval_loss\": {}", *told.steps[3].eval_loss)));
  EXPECT_EQ(rows[4].find("eval_loss"), std::string::npos);
}

TEST(Evaluation, TheBestCheckpointStaysAcrossAResume) {
  const TemporaryFolder folder;
  HeldOut held_out({data::token_set_of(rule_documents(90, 30), folder / "held")}, {.seq = 16, .batch = 4}, 0);
  RunOptions options = options_in(folder, "run");
  options.held_out = &held_out;
  options.eval_every = 1;
  options.keep_checkpoints = 1;
  options.keep_best = true;
  // A rate that is far too high: the held-out loss falls at first and rises soon.
  TrainerOptions trainer{.schedule = {.shape = ScheduleShape::kConstant, .peak = 0.3, .warmup = 12}};
  SmallRun first(folder / "a", 5, trainer);
  std::vector<StepMetrics> steps = run_with(first, options, [](const StepMetrics& step) {
                                     if (step.step == 10) request_interrupt();
                                   }).steps;
  options.resume = true;
  SmallRun second(folder / "a", 5, trainer);
  const Told told = run_through(second, options);
  steps.insert(steps.end(), told.steps.begin(), told.steps.end());
  const auto best = std::min_element(
      steps.begin(), steps.end(),
      [](const StepMetrics& a, const StepMetrics& b) { return *a.eval_loss < *b.eval_loss; });
  ASSERT_GT(best->step, 0);
  ASSERT_LT(best->step, 10) << "the case must have its best before the stop";
  EXPECT_EQ(told.outcome.best_loss, *best->eval_loss);
  EXPECT_EQ(told.outcome.best_checkpoint, checkpoint_path(options.folder, best->step + 1));
  read_weights(told.outcome.best_checkpoint, *second.model);
  EXPECT_EQ(held_out.loss(*second.model), *best->eval_loss);
  EXPECT_EQ(checkpoints_of(options.folder).size(), 2u);
}

/// While it lives, no file of this process may grow past `bytes`: a write fails as on a full disk.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() { setrlimit(RLIMIT_FSIZE, &before_); }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  rlimit before_{};
};

TEST(FullDisk, TrainingGoesOnSaysSoAndKeepsTheLastWholeCheckpoint) {
  const TemporaryFolder folder;
  RunOptions options = options_in(folder, "run");
  SmallRun first(folder / "a", 5, trainer_options());
  run_with(first, options, [](const StepMetrics& step) {
    if (step.step == 2) request_interrupt();
  });
  options.resume = true;
  options.checkpoint_seconds = 1e-9;
  SmallRun run(folder / "a", 5, trainer_options());
  std::optional<FileLimit> full;
  const Told told = run_with(run, options, [&](const StepMetrics& step) {
    if (step.step == 3) full.emplace(600);
  });
  full.reset();
  EXPECT_EQ(told.outcome.saved_steps, 3);
  EXPECT_EQ(told.outcome.steps_done, kSteps);
  EXPECT_THAT(told.text(), HasSubstr("could not be written and the one before stays"));
  EXPECT_THAT(told.text(), HasSubstr("training goes on without metrics"));
  SmallRun third(folder / "a", 5, trainer_options());
  options.checkpoint_seconds = 0;
  EXPECT_THAT(run_through(third, options).text(), HasSubstr("resumed at step 3"));
  EXPECT_EQ(third.values(), run.values());
}

TEST(FullDisk, AnotherReasonIsToldTooAndFailsOnlyTheLastCheckpoint) {
  const TemporaryFolder folder;
  RunOptions options = options_in(folder, "run");
  options.checkpoint_seconds = 1e-9;
  write_file(options.folder, "a file where the folder should be");
  SmallRun run(folder / "a", 5, trainer_options());
  int64_t steps = 0;
  std::string notes;
  clear_interrupt();
  bad_input_of([&] {
    run_training(
        *run.model, *run.trainer, options, [&](const StepMetrics&) { ++steps; },
        [&](const std::string& note) { notes += note; });
  });
  EXPECT_EQ(steps, kSteps);
  EXPECT_THAT(notes, HasSubstr("the checkpoint of step 1 could not be written"));
}

}  // namespace
}  // namespace martlet::train
