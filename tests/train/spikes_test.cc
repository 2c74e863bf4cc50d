#include "train/spikes.h"

#include <cmath>

#include "base/expect_error.h"
#include "base/random.h"

namespace martlet::train {
namespace {

/// A loss that falls as training's does, with the noise of batches.
double usual_loss(const Philox& random, int64_t step) {
  return 2 + 8 * std::exp(-static_cast<double>(step) / 100) +
         0.1 * random.normal(static_cast<uint64_t>(step));
}

TEST(SpikeDetector, AUsualRunHasNone) {
  for (const uint64_t seed : {1, 2, 3, 4, 5}) {
    const Philox random(seed);
    SpikeDetector detector(6);
    for (int64_t step = 0; step < 10'000; ++step)
      ASSERT_FALSE(detector.is_spike(usual_loss(random, step))) << step;
  }
}

TEST(SpikeDetector, ALossFarAboveIsOneAndDoesNotCountLater) {
  const Philox random(9);
  SpikeDetector detector(6);
  for (int64_t step = 0; step < 300; ++step) detector.is_spike(usual_loss(random, step));
  const double mean = detector.mean(), deviation = detector.deviation();
  EXPECT_NEAR(deviation, 0.2, 0.15);
  EXPECT_TRUE(detector.is_spike(mean + 6.1 * deviation));
  EXPECT_TRUE(detector.is_spike(1e30));
  EXPECT_EQ(detector.mean(), mean);
  EXPECT_FALSE(detector.is_spike(mean + 5.9 * deviation));
  EXPECT_FALSE(detector.is_spike(0)) << "a fall is none";
}

TEST(SpikeDetector, JudgesNothingBeforeItHasSeenEnough) {
  SpikeDetector detector(3);
  for (int64_t step = 0; step < 49; ++step) EXPECT_FALSE(detector.is_spike(step % 2 == 0 ? 1 : 50));
}

TEST(SpikeDetector, EqualLossesLeaveRoomForAHundredth) {
  SpikeDetector detector(6);
  for (int64_t step = 0; step < 100; ++step) detector.is_spike(4);
  EXPECT_FALSE(detector.is_spike(4.2));
  EXPECT_TRUE(detector.is_spike(4.5));
}

TEST(SpikeDetector, IsOffWithoutAFactor) {
  SpikeDetector detector(0);
  for (int64_t step = 0; step < 100; ++step) detector.is_spike(1);
  EXPECT_FALSE(detector.is_spike(1e9));
}

TEST(SpikeDetector, RemembersExactlyAcrossACheckpoint) {
  const Philox random(11);
  SpikeDetector first(6), second(6);
  for (int64_t step = 0; step < 77; ++step) first.is_spike(usual_loss(random, step));
  second.restore(Json::parse(first.to_json().dump(), "losses"));
  for (int64_t step = 77; step < 200; ++step) {
    first.is_spike(usual_loss(random, step));
    second.is_spike(usual_loss(random, step));
    ASSERT_EQ(first.mean(), second.mean());
    ASSERT_EQ(first.deviation(), second.deviation());
  }
  EXPECT_THAT(bad_input_of([&] {
                second.restore(Json(Json::Object{{"seen", 3}}));
              }),
              ::testing::HasSubstr("mean"));
}

}  // namespace
}  // namespace martlet::train
