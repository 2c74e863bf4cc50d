#include "ops/fill.h"

#include <cmath>

#include "base/thread_pool.h"
#include "ops/op_testing.h"

namespace martlet::ops::testing {
namespace {

class FillTest : public OpTest {};

TEST_F(FillTest, FillsEveryDtypeAlikeOnBothDevices) {
  for (const DType dtype : kAllDTypes)
    for (const float value : {0.0f, 1.0f, 3.7f})
      EXPECT_EQ(bits_of(full({3, 1500}, value, dtype)),
                bits_of(full({3, 1500}, value, dtype, Device::kReference)));
  EXPECT_EQ(full({2}, 3.7f, DType::kI32).to_vector<int32_t>(), (std::vector<int32_t>{3, 3}));
}

TEST_F(FillTest, ArangeCountsInEveryDtype) {
  EXPECT_EQ(arange(4, DType::kI64).to_vector<int64_t>(), (std::vector<int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(arange(3, DType::kI32, Device::kCpu, 5, -2).to_vector<int32_t>(),
            (std::vector<int32_t>{5, 3, 1}));
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kI32, DType::kI64})
    EXPECT_EQ(bits_of(arange(3000, dtype, Device::kCpu, -7, 3)),
              bits_of(arange(3000, dtype, Device::kReference, -7, 3)));
}

TEST_F(FillTest, DrawsDoNotDependOnDeviceThreadsLayoutOrSharding) {
  const Philox random(7, stream_of("layers.0.weight"));
  const auto normal = [&](const Tensor& x, const DrawNumbers& draws) {
    fill_normal(x, random, 1, 0.5, draws);
  };
  const auto uniform = [&](const Tensor& x, const DrawNumbers& draws) {
    fill_uniform(x, random, -2, 2, draws);
  };
  for (const std::function<void(const Tensor&, const DrawNumbers&)>& fill :
       {std::function<void(const Tensor&, const DrawNumbers&)>(normal),
        std::function<void(const Tensor&, const DrawNumbers&)>(uniform)}) {
    for (const DType dtype : kFloating) {
      const Tensor there = Tensor::empty({60, 400}, dtype, Device::kReference);
      fill(there, {});
      at_every_level([&] {
        for (const int threads : {1, 2}) {
          set_thread_count(threads);
          const Tensor x = Tensor::empty({60, 400}, dtype);
          fill(x, {});
          EXPECT_EQ(bits_of(x), bits_of(there));
        }
        const Tensor turned = Tensor::empty({400, 60}, dtype).transpose(0, 1);
        fill(turned, {});
        EXPECT_EQ(bits_of(turned), bits_of(there));
        const Tensor shard = Tensor::empty({30, 100}, dtype);
        fill(shard, {10 * 400 + 300, {400, 1}});
        EXPECT_EQ(bits_of(shard), bits_of(there.slice(0, 10, 40).slice(1, 300, 400)));
      });
    }
  }
}

TEST_F(FillTest, DrawsHaveTheirDistribution) {
  const Tensor x = Tensor::empty({200000}, DType::kF32);
  fill_normal(x, Philox(3), 1.0, 2.0);
  double mean = 0;
  double squares = 0;
  for (const float value : x.to_vector<float>()) mean += static_cast<double>(value) / 200000;
  for (const float value : x.to_vector<float>())
    squares += std::pow(static_cast<double>(value) - mean, 2) / 200000;
  // Five standard errors: 2 / sqrt(200000) and 4 sqrt(2 / 200000).
  EXPECT_NEAR(mean, 1.0, 0.023);
  EXPECT_NEAR(squares, 4.0, 0.064);
  fill_uniform(x, Philox(4), -1.0, 3.0);
  mean = 0;
  for (const float value : x.to_vector<float>()) {
    ASSERT_GE(value, -1.0f);
    ASSERT_LE(value, 3.0f);
    mean += static_cast<double>(value) / 200000;
  }
  EXPECT_NEAR(mean, 1.0, 0.013);
}

TEST_F(FillTest, ErrorsNameTheOperation) {
  EXPECT_EQ(message_of([] { fill_in_place(Tensor::zeros({2}, DType::kI32), 1e30f); }),
            "fill takes values within 2^53 for i32[2] on cpu, got 1.0000000150474662e+30");
  EXPECT_EQ(message_of([] { arange(3, DType::kBool); }),
            "arange gives i64, i32 or a floating dtype, asked for bool");
  EXPECT_EQ(message_of([] {
              fill_normal(Tensor::zeros({2, 2}, DType::kF32), Philox(1), 0, 1, {0, {2}});
            }),
            "fill_normal takes 2 strides of draw numbers for f32[2, 2] on cpu, got 1");
}

}  // namespace
}  // namespace martlet::ops::testing
