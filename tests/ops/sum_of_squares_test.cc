#include "ops/sum_of_squares.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/thread_pool.h"
#include "ops/cast.h"

namespace martlet::ops {
namespace {

Tensor draw(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(Philox(4, 0).normal(i));
  return Tensor::from(values, {count});
}

TEST(SumOfSquares, AgreesWithTheDefinitionForEveryDTypeAndLayout) {
  for (const int64_t count : {0, 1, 17, 4097, 200'000}) {
    const Tensor x = draw(count);
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      const Tensor typed = cast(x, dtype);
      const double expected = sum_of_squares(typed.to(Device::kReference));
      EXPECT_NEAR(sum_of_squares(typed), expected, 1e-6 * expected) << count;
    }
    if (count > 1) {
      const Tensor every_second = x.slice(0, 0, count, 2);
      EXPECT_EQ(sum_of_squares(every_second), sum_of_squares(every_second.clone()));
    }
  }
}

TEST(SumOfSquares, TheBitsDoNotDependOnThreads) {
  const Tensor x = draw(300'001);
  set_thread_count(1);
  const double one = sum_of_squares(x);
  for (const int threads : {2, 3, 5}) {
    set_thread_count(threads);
    EXPECT_EQ(sum_of_squares(x), one);
  }
  set_thread_count(0);
}

TEST(SumOfSquares, IntegersAreRefused) {
  EXPECT_THROW(sum_of_squares(Tensor::zeros({3}, DType::kI32)), Error);
}

}  // namespace
}  // namespace martlet::ops
