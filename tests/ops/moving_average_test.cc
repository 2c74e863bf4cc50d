#include "ops/moving_average.h"

#include "base/expect_error.h"
#include "base/random.h"
#include "base/thread_pool.h"

namespace martlet::ops {
namespace {

Tensor draw(int64_t count, uint64_t stream) {
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(Philox(8, stream).normal(i));
  return Tensor::from(values, {count});
}

TEST(MovingAverage, EveryKernelGivesTheDefinition) {
  for (const int64_t count : {0, 1, 17, 100'003}) {
    const Tensor average = draw(count, 1), value = draw(count, 2);
    const Tensor reference = average.to(Device::kReference);
    moving_average(reference, value.to(Device::kReference), 0.3);
    moving_average(average, value, 0.3);
    const std::vector<float> expected = reference.to_vector<float>(), got = average.to_vector<float>();
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 1e-6) << i;
  }
}

TEST(MovingAverage, ThreadsDoNotChangeItsBits) {
  const int before = thread_count();
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    const Tensor average = draw(200'001, 1);
    moving_average(average, draw(200'001, 2), 0.01);
    results.push_back(average.to_vector<float>());
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
}

TEST(MovingAverage, RefusesWhatDoesNotFit) {
  const Tensor average = draw(6, 1);
  EXPECT_THAT(error_of(ErrorCode::kFailed, [&] { moving_average(average, draw(5, 2), 0.1); }),
              ::testing::HasSubstr("one shape"));
  EXPECT_THAT(error_of(ErrorCode::kFailed, [&] { moving_average(average, average, 1.5); }),
              ::testing::HasSubstr("from 0 to 1"));
  EXPECT_THAT(error_of(ErrorCode::kFailed, [&] { moving_average(average, Tensor(), 0.5); }),
              ::testing::HasSubstr("got nothing"));
}

}  // namespace
}  // namespace martlet::ops
