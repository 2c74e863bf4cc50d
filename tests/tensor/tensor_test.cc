#include "tensor/tensor.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace martlet {
namespace {

/// 0, 1, 2, ... in the given shape.
Tensor counting(const Shape& shape, Device device = Device::kCpu) {
  std::vector<int32_t> values(static_cast<size_t>(shape.element_count()));
  std::iota(values.begin(), values.end(), 0);
  return Tensor::from(values, shape, device);
}

TEST(Tensor, ViewsReadTheElementsThatTheirIndicesName) {
  for (const Device device : {Device::kCpu, Device::kReference}) {
    const Tensor x = counting({2, 3, 4}, device);
    EXPECT_EQ(x.select(1, 2).to_vector<int32_t>(), (std::vector<int32_t>{8, 9, 10, 11, 20, 21, 22, 23}));
    EXPECT_EQ(x.slice(2, 1, 4, 2).select(0, 1).to_vector<int32_t>(),
              (std::vector<int32_t>{13, 15, 17, 19, 21, 23}));
    EXPECT_EQ(x.transpose(0, 2).select(0, 1).to_vector<int32_t>(),
              (std::vector<int32_t>{1, 13, 5, 17, 9, 21}));
    const std::vector<int> order = {2, 0, 1};
    EXPECT_EQ(x.permute(order).shape(), (Shape{4, 2, 3}));
    EXPECT_EQ(x.permute(order).select(0, 3).to_vector<int32_t>(),
              (std::vector<int32_t>{3, 7, 11, 15, 19, 23}));
    EXPECT_EQ(x.slice(0, 0, 1).select(1, 0).expand({3, 4}).to_vector<int32_t>(),
              (std::vector<int32_t>{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3}));
  }
}

TEST(Tensor, ViewsShareStorageAndCopiesDoNot) {
  const Tensor x = counting({4, 6});
  EXPECT_TRUE(x.transpose(0, 1).shares_storage_with(x));
  EXPECT_FALSE(x.clone().shares_storage_with(x));
  EXPECT_TRUE(x.contiguous().shares_storage_with(x));
  EXPECT_FALSE(x.transpose(0, 1).contiguous().shares_storage_with(x));
  x.slice(0, 1, 2).copy_elements(Tensor::zeros({1, 6}, DType::kI32));
  EXPECT_EQ(x.select(0, 1).to_vector<int32_t>(), std::vector<int32_t>(6, 0));
}

TEST(Tensor, AReshapeIsAViewWhereOneExistsAndAnErrorWhereNone) {
  const Philox random(1);
  uint64_t draw = 0;
  for (int round = 0; round < 300; ++round) {
    const auto size = [&] { return static_cast<int64_t>(1 + random.below(draw++, 4)); };
    const Tensor x = counting({size(), size(), size(), size()});
    const int a = static_cast<int>(random.below(draw++, 4));
    const int b = static_cast<int>(random.below(draw++, 4));
    const Tensor view = x.transpose(a, b);
    const Shape target = {view.shape()[0] * view.shape()[1], 1, view.shape()[2], view.shape()[3]};
    try {
      const Tensor shaped = view.reshape(target);
      EXPECT_TRUE(shaped.shares_storage_with(x));
      EXPECT_EQ(shaped.to_vector<int32_t>(), view.to_vector<int32_t>());
    } catch (const Error&) {
      EXPECT_FALSE(view.is_contiguous());
    }
    EXPECT_EQ(view.contiguous().reshape(target).to_vector<int32_t>(), view.to_vector<int32_t>());
  }
}

TEST(Tensor, EmptyAndScalarShapesHold) {
  const Tensor empty = Tensor::zeros({3, 0, 2}, DType::kF32);
  EXPECT_EQ(empty.element_count(), 0);
  EXPECT_TRUE(empty.to_vector<float>().empty());
  EXPECT_EQ(empty.reshape({0}).shape(), Shape{0});
  const Tensor scalar = Tensor::from(std::vector<float>{2.5f}, Shape{});
  EXPECT_EQ(scalar.to_vector<float>(), std::vector<float>{2.5f});
  EXPECT_EQ(scalar.clone().to_vector<float>(), std::vector<float>{2.5f});
}

TEST(Tensor, TheHostCannotReachReferenceMemoryByAccident) {
  const Tensor x = counting({2}, Device::kReference);
  EXPECT_THROW(x.data<int32_t>(), Error);
  EXPECT_EQ(x.to(Device::kCpu).data<int32_t>()[1], 1);
}

TEST(Tensor, WrongUseIsRefused) {
  const Tensor x = counting({2, 3});
  EXPECT_THROW(x.data<float>(), Error);
  EXPECT_THROW(x.slice(0, 1, 3), Error);
  EXPECT_THROW(x.select(2, 0), Error);
  EXPECT_THROW(x.reshape({4, 2}), Error);
  EXPECT_THROW(x.expand({2, 4}), Error);
  EXPECT_THROW(x.expand({5, 2, 3}).mutable_data<int32_t>(), Error);
  EXPECT_THROW(Tensor::empty({int64_t{1} << 40, int64_t{1} << 40}, DType::kF32), Error);
  EXPECT_THROW(Tensor().data<float>(), Error);
}

TEST(Shape, BroadcastFollowsTheRuleOfNumpy) {
  EXPECT_EQ(broadcast({2, 1, 4}, {3, 1}), (Shape{2, 3, 4}));
  EXPECT_EQ(broadcast({}, {5}), Shape{5});
  EXPECT_EQ(broadcast({0}, {1}), Shape{0});
  EXPECT_THROW(broadcast({2}, {3}), Error);
}

TEST(Shape, AnEmptyTensorWhoseStridesDoNotFitIsRefused) {
  const int64_t large = int64_t{1} << 40;
  for (const Shape& shape : {Shape{0, large, large}, Shape{large, 0, large}, Shape{large, large, 0}}) {
    EXPECT_THROW(shape.element_count(), Error);
    EXPECT_THROW(shape.dense_strides(), Error);
  }
  EXPECT_EQ((Shape{large, 0, 3}).element_count(), 0);
  EXPECT_EQ((Shape{0, large, 3}).dense_strides(), (Shape{large * 3, 3, 1}));
}

TEST(DType, EveryHalfSurvivesTheRoundTripThroughF32) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const F16 half{static_cast<uint16_t>(bits)};
    const BF16 brain{static_cast<uint16_t>(bits)};
    ASSERT_TRUE(std::isnan(to_float(half)) || to_f16(to_float(half)).bits == half.bits);
    ASSERT_TRUE(std::isnan(to_float(brain)) || to_bf16(to_float(brain)).bits == brain.bits);
  }
  EXPECT_TRUE(std::isnan(to_float(to_f16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isnan(to_float(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(DType, RoundingGoesToTheNearestAndTiesToEven) {
  const Philox random(7);
  for (uint64_t i = 0; i < 200000; ++i) {
    float value = 0;
    const uint32_t bits = random.bits(i);
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value) || std::abs(value) > 65000.0f) continue;
    const uint16_t rounded = to_f16(value).bits;
    const double error = std::abs(static_cast<double>(to_float(F16{rounded})) - static_cast<double>(value));
    for (const int step : {-1, 1}) {
      const F16 neighbour{static_cast<uint16_t>(rounded + step)};
      if (!std::isfinite(to_float(neighbour)) || ((neighbour.bits ^ rounded) & 0x8000u) != 0) continue;
      const double other = std::abs(static_cast<double>(to_float(neighbour)) - static_cast<double>(value));
      ASSERT_TRUE(error < other || (error == other && rounded % 2 == 0)) << value;
    }
  }
}

TEST(Allocator, OwnersAndPeaksAreCounted) {
  const auto weights = [] { return memory_use(Device::kCpu)[static_cast<size_t>(Owner::kWeights)]; };
  const int64_t before = weights().now;
  reset_memory_peaks(Device::kCpu);
  {
    const OwnerScope owner(Owner::kWeights);
    const Tensor x = Tensor::empty({1 << 20}, DType::kF32);
    EXPECT_GE(weights().now, before + (4 << 20));
  }
  EXPECT_EQ(weights().now, before);
  EXPECT_GE(weights().peak, before + (4 << 20));
}

TEST(Allocator, AFreedBlockServesTheNextRequest) {
  const std::byte* first = Tensor::empty({1000}, DType::kF32).host_bytes();
  EXPECT_EQ(Tensor::empty({990}, DType::kF32).host_bytes(), first);
  release_cached_memory();
}

TEST(Allocator, MemoryThatIsNotThereIsAnError) {
  try {
    const auto block = allocate(Device::kCpu, int64_t{1} << 60);
    FAIL() << "a billion gigabytes were given";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kExhausted);
  }
}

}  // namespace
}  // namespace martlet
