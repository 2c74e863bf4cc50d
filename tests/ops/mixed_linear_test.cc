#include "ops/mixed_linear.h"

#include <limits>

#include "autograd/backward.h"
#include "autograd/leaf.h"
#include "base/thread_pool.h"
#include "ops/cast.h"
#include "ops/cpu_features.h"
#include "ops/linear.h"
#include "ops/linear_gradient.h"
#include "ops/mixed_matmul.h"
#include "ops/op_testing.h"
#include "ops/reduce.h"
#include "ops/unary.h"

namespace martlet::ops {
namespace {

using testing::bits_of;
using testing::Draws;
using ::testing::HasSubstr;
using testing::message_of;

class MixedLinearTest : public testing::OpTest {};

Tensor rounded(const Tensor& x) {
  return cast(cast(x, DType::kBF16), DType::kF32);
}

// Sums of up to 700 products of bf16 in f32, in other orders.
constexpr testing::Tolerance kSums{1e-4, 2e-4};

TEST_F(MixedLinearTest, ProductsAreThoseOfRoundedFactorsInAnyLayout) {
  if (!cpu_features().avx512_bf16) GTEST_SKIP() << "factors are rounded where bf16 is multiplied";
  Draws draws(1);
  for (const DType a : {DType::kF32, DType::kBF16})
    for (const DType b : {DType::kF32, DType::kBF16})
      for (const auto& [m, k, n] : std::vector<std::array<int64_t, 3>>{
               {1, 1, 1}, {3, 5, 7}, {13, 33, 31}, {40, 385, 70}, {530, 700, 33}, {4, 0, 3}})
        for (int layout = 0; layout < 2; ++layout) {
          SCOPED_TRACE(fmt::format("{} {} {}: {} {}", m, k, n, name_of(a), name_of(b)));
          const Tensor left = draws.any_layout({m, k}, a);
          const Tensor right = draws.any_layout({k, n}, b);
          const Tensor bias = draws.dense({n}, DType::kF32);
          const auto on = [&](Device device) {
            return mixed_matmul(left.to(device), right.to(device), DType::kF32, bias.to(device))
                .to(Device::kCpu);
          };
          testing::expect_close(on(Device::kCpu), on(Device::kReference), kSums);
        }
}

TEST_F(MixedLinearTest, ARowHasTheBitsItHasAloneOnAnyNumberOfThreads) {
  Draws draws(2);
  const Tensor x = draws.dense({61, 500}, DType::kBF16);
  const Weight weight(draws.dense({77, 500}, DType::kF32));
  const Tensor all = mixed_linear(x, weight);
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    EXPECT_EQ(bits_of(mixed_linear(x, weight)), bits_of(all));
    EXPECT_EQ(bits_of(mixed_linear(x.slice(0, 9, 10), weight)), bits_of(all.slice(0, 9, 10)));
  }
}

TEST_F(MixedLinearTest, GradientsAreTheProductsOfRoundedFactors) {
  Draws draws(3);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    Tensor x = draws.dense({19, 40}, dtype);
    Tensor w = draws.dense({24, 40}, DType::kF32);
    Tensor bias = draws.dense({24}, DType::kF32);
    for (Tensor* leaf : {&x, &w, &bias}) autograd::require_gradient(*leaf);
    const Tensor dy = draws.dense({19, 24}, DType::kBF16);
    const Tensor y = mixed_linear(x, Weight(w), bias);
    EXPECT_EQ(y.dtype(), DType::kBF16);
    autograd::backward(y, dy);
    const Tensor wide = cast(dy, DType::kF32);
    // On processors without bf16 products W is not rounded; a bf16 gradient of x is rounded once more.
    const testing::Tolerance rounding{3e-2, 1e-2};
    testing::expect_close(cast(autograd::gradient_of(x), DType::kF32),
                          linear_input_gradient(wide, Weight(rounded(w.detach()))), rounding);
    testing::expect_close(autograd::gradient_of(w),
                          linear_weight_gradient(wide, rounded(cast(x.detach(), DType::kF32))), kSums);
    testing::expect_close(autograd::gradient_of(bias), sum(wide, {0}), kSums);
    const Tensor once_summed = autograd::gradient_of(w).clone();
    autograd::backward(mixed_linear(x, Weight(w), bias), dy);
    testing::expect_close(autograd::gradient_of(w), scale(once_summed, 2), kSums);
  }
}

/// Values as f16 has them, element by element.
Tensor each_as_f16(const Tensor& x) {
  std::vector<float> values = x.to_vector<float>();
  for (float& value : values) value = to_float(to_f16(value));
  return Tensor::from(values, x.shape());
}

TEST_F(MixedLinearTest, ProductsOfF16AreThoseOfRoundedFactorsAtEveryInstructionSet) {
  Draws draws(4);
  for (const auto& [m, k, n] :
       std::vector<std::array<int64_t, 3>>{{1, 1, 1}, {13, 33, 31}, {40, 385, 70}, {4, 0, 3}}) {
    SCOPED_TRACE(fmt::format("{} {} {}", m, k, n));
    const Tensor x = draws.any_layout({m, k}, DType::kF32), w = draws.dense({n, k}, DType::kF32);
    const Tensor bias = draws.dense({n}, DType::kF32);
    const auto mixed = [](const std::vector<Tensor>& in) {
      return mixed_linear(in[0], Weight(in[1].contiguous()), in[2], DType::kF16);
    };
    testing::expect_contract({x, w, bias}, mixed, kSums);
    testing::expect_close(mixed({x, w, bias}), linear(each_as_f16(x), Weight(each_as_f16(w)), bias), kSums);
  }
}

TEST_F(MixedLinearTest, GradientsOfF16AreTheProductsOfRoundedFactors) {
  Draws draws(6);
  Tensor x = draws.dense({19, 40}, DType::kF32), w = draws.dense({24, 40}, DType::kF32);
  Tensor bias = draws.dense({24}, DType::kF32);
  for (Tensor* leaf : {&x, &w, &bias}) autograd::require_gradient(*leaf);
  const Tensor dy = draws.dense({19, 24}, DType::kF32);
  const auto run = [&] { autograd::backward(mixed_linear(x, Weight(w), bias, DType::kF16), dy); };
  run();
  const Tensor narrow = each_as_f16(dy);
  testing::expect_close(autograd::gradient_of(x),
                        linear_input_gradient(narrow, Weight(each_as_f16(w.detach()))), kSums);
  testing::expect_close(autograd::gradient_of(w), linear_weight_gradient(narrow, each_as_f16(x.detach())),
                        kSums);
  testing::expect_close(autograd::gradient_of(bias), sum(narrow, {0}), kSums);
  const Tensor once = autograd::gradient_of(w).clone();
  run();
  testing::expect_close(autograd::gradient_of(w), scale(once, 2), kSums);
}

TEST_F(MixedLinearTest, BeyondTheRangeOfF16AFactorIsInfinite) {
  const Weight weight(Tensor::from(std::vector<float>{1, 0.5f}, {1, 2}));
  const auto of = [&](float large) {
    return mixed_linear(Tensor::from(std::vector<float>{large, 2}, {1, 2}), weight, {}, DType::kF16)
        .to_vector<float>()[0];
  };
  EXPECT_EQ(of(65504), 65505) << "a sum may be larger than a factor";
  EXPECT_EQ(of(65520), std::numeric_limits<float>::infinity());
}

TEST_F(MixedLinearTest, SaysWhatItTakes) {
  const Tensor x = Tensor::zeros({2, 3}, DType::kF32);
  EXPECT_THAT(message_of([&] {
                mixed_linear(x, Weight(Tensor::zeros({4, 5}, DType::kF32)));
              }),
              HasSubstr("takes x [..., 5], got [2, 3]"));
  EXPECT_THAT(message_of([&] {
                mixed_linear(x, Weight(Tensor::zeros({4, 3}, DType::kBF16)));
              }),
              HasSubstr("dense f32 weight, got bf16"));
  EXPECT_THAT(message_of([&] {
                mixed_linear(x, Weight(Tensor::zeros({4, 3}, DType::kF32)), {}, DType::kI8);
              }),
              HasSubstr("rounds factors to bf16 or f16, not to i8"));
}

}  // namespace
}  // namespace martlet::ops
