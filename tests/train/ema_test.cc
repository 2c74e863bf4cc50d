#include "train/ema.h"

#include <algorithm>

#include "base/expect_error.h"
#include "base/temporary_folder.h"
#include "train/small_run.h"

namespace martlet::train {
namespace {

TEST(Ema, IsTheWeightedSumOfAllValuesSoFar) {
  const TemporaryFolder folder;
  constexpr double kDecay = 0.8;
  SmallRun run(folder / "a", 6, {.schedule = {.peak = 0.02, .steps = 100}, .ema = kDecay});
  std::vector<double> expected;
  for (const float value : run.values()) expected.push_back(value);
  for (int64_t step = 1; step <= 60; ++step) {
    run.trainer->step();
    const double keep = std::min(kDecay, static_cast<double>(step) / static_cast<double>(step + 9));
    const std::vector<float> values = run.values();
    for (size_t i = 0; i < expected.size(); ++i) expected[i] = keep * expected[i] + (1 - keep) * values[i];
  }
  const std::vector<float> weights = run.values();
  {
    const EmaScope scope(run.trainer->ema());
    const std::vector<float> averages = run.values();
    EXPECT_NE(averages, weights);
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(averages[i], expected[i], 2e-6) << i;
  }
  EXPECT_EQ(run.values(), weights) << "exchanged twice, nothing has changed";
}

TEST(Ema, DoesNotChangeTraining) {
  const TemporaryFolder folder;
  SmallRun with(folder / "a", 6, {.ema = 0.99}), without(folder / "b", 6);
  for (int i = 0; i < 5; ++i) {
    const double loss = with.trainer->step()->loss;
    const EmaScope scope(with.trainer->ema());
    EXPECT_EQ(loss, without.trainer->step()->loss);
  }
}

TEST(Ema, RefusesADecayOutOfRange) {
  const TemporaryFolder folder;
  for (const double decay : {1.0, -0.5, 3.0})
    EXPECT_THAT(bad_input_of([&] { SmallRun(folder / "a", 1, {.ema = decay}); }),
                ::testing::HasSubstr("from 0 to below 1"));
}

}  // namespace
}  // namespace martlet::train
