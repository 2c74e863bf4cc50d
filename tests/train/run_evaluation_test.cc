// Held-out losses and samples while a run goes on, and the best checkpoint.

#include <algorithm>

#include "base/expect_error.h"
#include "train/checkpoint.h"
#include "train/told_run.h"

namespace martlet::train {
namespace {

using ::testing::HasSubstr;

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

}  // namespace
}  // namespace martlet::train
