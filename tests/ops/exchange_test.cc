#include "ops/exchange.h"

#include <numeric>

#include "base/expect_error.h"

namespace martlet::ops {
namespace {

TEST(Exchange, EachGetsTheElementsOfTheOtherOnEveryDevice) {
  for (const Device device : {Device::kCpu, Device::kReference}) {
    for (const int64_t count : {0, 1, 100'003}) {
      std::vector<int32_t> rising(static_cast<size_t>(count)), falling(rising.size());
      std::iota(rising.begin(), rising.end(), 0);
      std::iota(falling.rbegin(), falling.rend(), -5);
      const Tensor a = Tensor::from(rising, {count}, device), b = Tensor::from(falling, {count}, device);
      exchange(a, b);
      EXPECT_EQ(a.to_vector<int32_t>(), falling);
      EXPECT_EQ(b.to_vector<int32_t>(), rising);
    }
  }
}

TEST(Exchange, RefusesTensorsThatDiffer) {
  const Tensor a = Tensor::zeros({2, 3}, DType::kF32);
  EXPECT_THAT(error_of(ErrorCode::kFailed,
                       [&] {
                         exchange(a, Tensor::zeros({3, 2}, DType::kF32));
                       }),
              ::testing::HasSubstr("one shape"));
  EXPECT_THAT(error_of(ErrorCode::kFailed, [&] { exchange(a, a.transpose(0, 1)); }),
              ::testing::HasSubstr("dense"));
}

}  // namespace
}  // namespace martlet::ops
