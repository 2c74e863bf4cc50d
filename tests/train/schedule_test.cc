#include "train/schedule.h"

#include <cmath>
#include <gtest/gtest.h>

#include "base/error.h"

namespace martlet::train {
namespace {

TEST(Schedule, WarmsUpLinearlyWhateverTheShape) {
  for (const ScheduleShape shape :
       {ScheduleShape::kConstant, ScheduleShape::kCosine, ScheduleShape::kLinear, ScheduleShape::kWsd}) {
    const Schedule schedule{.shape = shape, .peak = 0.4, .steps = 100, .warmup = 8};
    for (int64_t step = 0; step < 8; ++step)
      EXPECT_DOUBLE_EQ(schedule.rate(step), 0.4 * static_cast<double>(step + 1) / 8) << name_of(shape);
    EXPECT_DOUBLE_EQ(schedule.rate(8), 0.4);
  }
}

TEST(Schedule, NeverRisesAfterTheWarmUpAndEndsAtItsFinalShare) {
  for (const ScheduleShape shape : {ScheduleShape::kCosine, ScheduleShape::kLinear, ScheduleShape::kWsd}) {
    const Schedule schedule{.shape = shape, .peak = 3, .steps = 57, .warmup = 5, .final_share = 0.2};
    for (int64_t step = 5; step < 60; ++step) EXPECT_LE(schedule.rate(step + 1), schedule.rate(step));
    EXPECT_DOUBLE_EQ(schedule.rate(56), 0.6) << name_of(shape);
    EXPECT_DOUBLE_EQ(schedule.rate(1000), 0.6);
  }
}

TEST(Schedule, CosineAndLinearAreHalfWayInTheMiddle) {
  for (const ScheduleShape shape : {ScheduleShape::kCosine, ScheduleShape::kLinear}) {
    const Schedule schedule{.shape = shape, .peak = 1, .steps = 101, .final_share = 0};
    EXPECT_NEAR(schedule.rate(50), 0.5, 1e-12);
  }
  const Schedule cosine{.shape = ScheduleShape::kCosine, .peak = 1, .steps = 101, .final_share = 0};
  EXPECT_NEAR(cosine.rate(25), 0.5 * (1 + std::sqrt(0.5)), 1e-12);
}

TEST(Schedule, WsdIsConstantUntilItsDecay) {
  const Schedule schedule{.shape = ScheduleShape::kWsd,
                          .peak = 1,
                          .steps = 200,
                          .warmup = 10,
                          .final_share = 0,
                          .decay_share = 0.25};
  EXPECT_EQ(schedule.rate(149), 1);
  EXPECT_NEAR(schedule.rate(174), 0.5, 1e-12);
  EXPECT_NEAR(schedule.rate(199), 0, 1e-12);
}

TEST(Schedule, OneStepHasThePeak) {
  for (const ScheduleShape shape : {ScheduleShape::kConstant, ScheduleShape::kCosine, ScheduleShape::kWsd})
    EXPECT_EQ((Schedule{.shape = shape, .peak = 2, .steps = 1}).rate(0), 2);
}

TEST(Schedule, AnUnknownNameIsRefused) {
  EXPECT_EQ(schedule_named("wsd"), ScheduleShape::kWsd);
  EXPECT_THROW(schedule_named("sawtooth"), Error);
}

}  // namespace
}  // namespace martlet::train
