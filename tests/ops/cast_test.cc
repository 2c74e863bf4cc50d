#include "ops/cast.h"

#include <cmath>

#include "ops/concat.h"
#include "ops/op_testing.h"

namespace martlet::ops::testing {
namespace {

class CastTest : public OpTest {};

TEST_F(CastTest, EveryPairOfDtypesHasTheReferencesBits) {
  Draws draws(1);
  for (const DType from : kAllDTypes) {
    for (const DType to : kAllDTypes) {
      SCOPED_TRACE(fmt::format("{} to {}", name_of(from), name_of(to)));
      for (const Shape& shape : {Shape{}, Shape{0}, Shape{5, 33}, Shape{2, 1100}}) {
        const Tensor x = draws.any_layout(shape, from, 50);
        const Tensor expected = cast(x.to(Device::kReference), to);
        at_every_level([&] { EXPECT_EQ(bits_of(cast(x, to)), bits_of(expected)); });
      }
    }
  }
}

TEST_F(CastTest, RoundingSaturationAndNansHaveTheReferencesBits) {
  std::vector<float> values = {0.0f,    -0.0f,    INFINITY, -INFINITY, NAN,     1e-45f,
                               3e38f,   65504.0f, 65519.9f, 65520.0f,  1e-7f,   2.98e-8f,
                               6.1e-5f, 1e30f,    -1e30f,   127.5f,    -128.5f, 255.7f};
  Draws draws(2);
  for (int i = 0; i < 2000; ++i)
    values.push_back(std::ldexp(draws.normal(), static_cast<int>(draws.between(-40, 40))));
  const Tensor x = Tensor::from(values, {static_cast<int64_t>(values.size())});
  for (const DType to : kAllDTypes) {
    SCOPED_TRACE(name_of(to));
    const Tensor expected = cast(x.to(Device::kReference), to);
    at_every_level([&] { EXPECT_EQ(bits_of(cast(x, to)), bits_of(expected)); });
  }
}

TEST_F(CastTest, EveryNarrowNumberWidensExactlyAndComesBack) {
  for (const DType narrow : {DType::kBF16, DType::kF16}) {
    // All but NaNs, whose payload the processor may change.
    const uint32_t infinity = narrow == DType::kBF16 ? 0x7f80 : 0x7c00;
    std::vector<uint16_t> patterns;
    for (uint32_t i = 0; i < 65536; ++i)
      if ((i & 0x7fffu) <= infinity) patterns.push_back(static_cast<uint16_t>(i));
    const Tensor x = Tensor::copy_from(std::as_bytes(std::span(patterns)),
                                       {static_cast<int64_t>(patterns.size())}, narrow);
    const Tensor wide = cast(x.to(Device::kReference), DType::kF32);
    at_every_level([&] {
      EXPECT_TRUE(bits_of(cast(x, DType::kF32)) == bits_of(wide)) << name_of(narrow);
      EXPECT_TRUE(bits_of(cast(cast(x, DType::kF32), narrow)) == bits_of(x)) << name_of(narrow);
    });
  }
}

TEST_F(CastTest, TheSameDtypeIsTheSameTensor) {
  const Tensor x = Tensor::zeros({3}, DType::kBF16);
  EXPECT_TRUE(cast(x, DType::kBF16).shares_storage_with(x));
}

class ConcatTest : public OpTest {};

TEST_F(ConcatTest, SplitUndoesConcatOnBothDevices) {
  Draws draws(3);
  for (const DType dtype : kAllDTypes) {
    for (int dim = -3; dim < 3; ++dim) {
      Shape second{2, 3, 4};
      second[dim < 0 ? dim + 3 : dim] = 5;
      const Tensor a = draws.any_layout({2, 3, 4}, dtype);
      const Tensor b = draws.any_layout(second, dtype);
      for (const Device device : {Device::kCpu, Device::kReference}) {
        const Tensor joined = concat({a.to(device), b.to(device)}, dim);
        const std::vector<Tensor> parts = split(joined, {a.dim(dim), 0, 5}, dim);
        EXPECT_EQ(bits_of(parts[0]), bits_of(a));
        EXPECT_EQ(bits_of(parts[2]), bits_of(b));
        EXPECT_TRUE(parts[2].shares_storage_with(joined));
      }
    }
  }
}

TEST_F(ConcatTest, ErrorsNameWhatDoesNotFit) {
  const Tensor x = Tensor::zeros({2, 3}, DType::kF32);
  EXPECT_EQ(message_of([&] {
              concat({x, Tensor::zeros({3, 3}, DType::kF32)}, 1);
            }),
            "concat takes parts of shape [2, 3], got f32[3, 3] on cpu");
  EXPECT_EQ(message_of([&] {
              split(x, {1, 1}, 1);
            }),
            "split takes sizes that add up to 3, dimension 1 of f32[2, 3] on cpu, got 2");
  EXPECT_EQ(message_of([&] { concat(std::vector<Tensor>{}, 0); }), "concat takes at least one tensor");
}

}  // namespace
}  // namespace martlet::ops::testing
