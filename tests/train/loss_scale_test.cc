// The scale of the loss by itself, and in runs that multiply f16: overflow, skipped steps, going on.

#include "train/loss_scale.h"

#include <cmath>

#include "base/expect_error.h"
#include "nn/apply_rewrite.h"
#include "train/checkpoint.h"
#include "train/mixed.h"
#include "train/told_run.h"

namespace martlet::train {
namespace {

using ::testing::HasSubstr;

TEST(LossScale, HalvesAtOnceAndDoublesAfterManyStepsInARow) {
  LossScale scale(true);
  EXPECT_EQ(scale.value(), 65536);
  const auto keep = [&](int64_t steps) {
    for (int64_t i = 0; i < steps; ++i) scale.keep();
  };
  keep(1999);
  EXPECT_EQ(scale.value(), 65536);
  EXPECT_TRUE(scale.halve());
  EXPECT_EQ(scale.value(), 32768);
  keep(1999);
  EXPECT_EQ(scale.value(), 32768) << "an overflow begins the count anew";
  keep(1);
  EXPECT_EQ(scale.value(), 65536);
  keep(2000);
  EXPECT_EQ(scale.value(), 131072);
  keep(30 * 2000);
  EXPECT_EQ(scale.value(), LossScale::kMost);
}

TEST(LossScale, EndsAtOneWhereItIsNoLongerToBlame) {
  LossScale scale(true);
  int halved = 0;
  while (scale.halve()) ++halved;
  EXPECT_EQ(halved, 16);
  EXPECT_EQ(scale.value(), 1);
}

TEST(LossScale, WhereNoneIsUsedItIsOne) {
  LossScale none(false);
  for (int i = 0; i < 4001; ++i) none.keep();
  EXPECT_EQ(none.value(), 1);
  EXPECT_FALSE(none.halve());
}

TEST(LossScale, RemembersWhereItWas) {
  LossScale before(true), after(true);
  before.halve();
  for (int i = 0; i < 1500; ++i) before.keep();
  after.restore(before.to_json());
  for (int i = 0; i < 499; ++i) after.keep();
  EXPECT_EQ(after.value(), 32768);
  after.keep();
  EXPECT_EQ(after.value(), 65536);
  Json wrong;
  wrong.set("scale", 3).set("kept", 0);
  EXPECT_THAT(bad_input_of([&] { after.restore(wrong); }), HasSubstr("a power of two from 1 on, got 3"));
}

void multiply(nn::Model& model, const char* type) {
  const std::shared_ptr<nn::Model> tree(&model, [](nn::Model*) {});
  constexpr const nn::Rewrite* kCatalogue[] = {&kMixed};
  nn::RewriteHistory history;
  nn::apply_rewrite(tree, nn::RewriteRequest{"mixed", Json(Json::Object{}).set("to", type)}, kCatalogue,
                    history);
}

/// A small run whose products are of f16.
struct F16Run : SmallRun {
  explicit F16Run(const std::string& folder, uint64_t seed = 5)
      : SmallRun(folder, seed, trainer_options(), "adamw", 0,
                 [](nn::Model& tree) { multiply(tree, "f16"); }) {}
};

TEST(F16Run, LearnsAsTheRunInF32Does) {
  const TemporaryFolder folder;
  SmallRun plain(folder / "a", 5, trainer_options());
  F16Run run(folder / "b");
  const Told expected = run_through(plain, options_in(folder, "plain"));
  const Told told = run_through(run, options_in(folder, "run"));
  for (size_t i = 0; i < expected.steps.size(); ++i) {
    EXPECT_NEAR(told.steps[i].loss, expected.steps[i].loss, 2e-3 * expected.steps[i].loss) << i;
    EXPECT_NEAR(told.steps[i].gradient_norm, expected.steps[i].gradient_norm,
                2e-2 * expected.steps[i].gradient_norm)
        << i;
    EXPECT_EQ(told.steps[i].loss_scale, 65536);
    EXPECT_FALSE(expected.steps[i].loss_scale.has_value());
  }
  EXPECT_TRUE(told.notes.empty()) << told.text();
  EXPECT_THAT(rows_of(folder / "run.jsonl")[3], HasSubstr("\"loss_scale\": 65536"));
  EXPECT_EQ(rows_of(folder / "plain.jsonl")[3].find("loss_scale"), std::string::npos);
}

TEST(F16Run, AnOverflowSkipsTheStepHalvesTheScaleAndIsNoSpike) {
  const TemporaryFolder folder;
  RunOptions options = options_in(folder, "run");
  options.most_spikes = 2;
  options.on_spike = SpikePolicy::kStop;
  F16Run run(folder / "a");
  // Far above what gradients of this model can be multiplied by, and within f32.
  const double first = std::ldexp(1.0, 30);
  run.trainer->loss_scale().set(first);
  const std::vector<float> before = run.values();
  int64_t overflows = 0;
  const Told told = run_with(run, options, [&](const StepMetrics& step) {
    EXPECT_EQ(step.loss_scale, first / std::ldexp(1.0, static_cast<int>(overflows))) << step.step;
    if (!step.overflow) return;
    ++overflows;
    EXPECT_EQ(step.step, overflows - 1) << "all before the first good step";
    EXPECT_EQ(run.values(), before);
    EXPECT_EQ(run.trainer->optimizer().steps_done(), 0);
  });
  ASSERT_GT(overflows, 3);
  ASSERT_LT(overflows, kSteps);
  EXPECT_NE(run.values(), before);
  EXPECT_EQ(told.notes.size(), static_cast<size_t>(overflows));
  EXPECT_EQ(told.notes[1],
            fmt::format("step 1: a gradient overflowed f16: the step was skipped, and the loss "
                        "scale of {} is {} now",
                        first / 2, first / 4));
  EXPECT_EQ(told.outcome.steps_done, kSteps);
}

TEST(F16Run, StoppedBetweenOverflowsItGoesOnToTheSameBits) {
  const TemporaryFolder folder;
  const auto set_high = [](F16Run& run) { run.trainer->loss_scale().set(std::ldexp(1.0, 30)); };
  F16Run whole(folder / "a");
  set_high(whole);
  const Told unbroken = run_through(whole, options_in(folder, "whole"));
  ASSERT_TRUE(unbroken.steps[2].overflow);
  RunOptions options = options_in(folder, "broken");
  F16Run first(folder / "b");
  set_high(first);
  run_with(first, options, [](const StepMetrics& step) {
    if (step.step == 1) request_interrupt();
  });
  options.resume = true;
  F16Run second(folder / "b");
  const Told rest = run_through(second, options);
  EXPECT_EQ(rest.notes.front(), "resumed at step 2");
  EXPECT_EQ(second.values(), whole.values());
  EXPECT_EQ(second.trainer->loss_scale().value(), whole.trainer->loss_scale().value());
  EXPECT_EQ(rows_of(folder / "broken.jsonl"), rows_of(folder / "whole.jsonl"));
}

TEST(F16Run, ACheckpointOfAnotherArithmeticIsRefused) {
  const TemporaryFolder folder;
  RunOptions options = options_in(folder, "run");
  SmallRun plain(folder / "a", 5, trainer_options());
  run_through(plain, options);
  options.resume = true;
  F16Run run(folder / "b");
  EXPECT_THAT(bad_input_of([&] { run_through(run, options); }),
              HasSubstr("the run multiplied no f16, and this one does"));
}

}  // namespace
}  // namespace martlet::train
