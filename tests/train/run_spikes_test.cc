// Losses that are not finite or far above the recent ones, while a run goes on.

#include <cmath>
#include <limits>

#include "base/expect_error.h"
#include "train/checkpoint.h"
#include "train/told_run.h"

namespace martlet::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace martlet::train
