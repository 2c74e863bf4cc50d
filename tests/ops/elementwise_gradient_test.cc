#include <cmath>

#include "ops/activation.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/gradient_testing.h"
#include "ops/reduce.h"
#include "ops/unary.h"
#include "ops/where.h"

namespace martlet::ops::testing {
namespace {

using ElementwiseGradient = OpTest;

/// Where a function and its differences are smooth: away from poles, corners and the ends of its domain.
Tensor within_domain(Unary function, const Tensor& x) {
  std::vector<float> values = x.to_vector<float>();
  for (float& value : values) {
    const float size = std::fabs(value);
    switch (function) {
      case Unary::kReciprocal:
      case Unary::kSquareRoot:
      case Unary::kReciprocalSquareRoot:
      case Unary::kLog:
      case Unary::kPower:
        value = 1 + size;
        break;
      case Unary::kAbsolute:
      case Unary::kRelu:
      case Unary::kReluSquared:
        value = value < 0 ? value - 0.1f : value + 0.1f;
        break;
      case Unary::kClamp:
        value = size < 0.7f ? 0.5f * value : value < 0 ? value - 0.4f : value + 0.4f;
        break;
      default:
        break;
    }
  }
  return Tensor::from(values, x.shape());
}

TEST_F(ElementwiseGradient, OfEveryUnaryFunction) {
  Draws draws(1);
  for (int i = 0; i < kUnaryCount; ++i) {
    UnaryCall call{static_cast<Unary>(i), 1.75f};
    if (call.function == Unary::kClamp) call = {Unary::kClamp, -0.6f, 0.7f};
    SCOPED_TRACE(name_of(call.function));
    for (const Shape& shape : {Shape{5, 7}, Shape{}, Shape{0, 3}, Shape{37}})
      expect_gradient({within_domain(call.function, draws.dense(shape, DType::kF32))},
                      [&](const std::vector<Tensor>& inputs) { return unary(call, inputs[0]); });
    for (const DType dtype : {DType::kBF16, DType::kF16})
      expect_gradient({cast(within_domain(call.function, draws.dense({4, 19}, DType::kF32)), dtype)},
                      [&](const std::vector<Tensor>& inputs) { return unary(call, inputs[0]); });
    const Tensor wide = within_domain(call.function, draws.dense({6, 10}, DType::kF32));
    expect_gradient({wide.slice(1, 1, 8, 3).transpose(0, 1)},
                    [&](const std::vector<Tensor>& inputs) { return unary(call, inputs[0]); });
  }
}

TEST_F(ElementwiseGradient, OfEveryBinaryFunctionWithBroadcasting) {
  Draws draws(2);
  const std::pair<Shape, Shape> shapes[] = {{{3, 4}, {3, 4}}, {{3, 4}, {4}}, {{3, 1}, {2, 1, 4}},
                                            {{}, {2, 3}},     {{0, 4}, {4}}, {{5, 1, 2}, {1, 3, 1}}};
  for (const Binary function : {Binary::kAdd, Binary::kSubtract, Binary::kMultiply, Binary::kDivide,
                                Binary::kMinimum, Binary::kMaximum, Binary::kPower}) {
    SCOPED_TRACE(name_of(function));
    for (const auto& [a, b] : shapes) {
      Tensor x = draws.any_layout(a, DType::kF32);
      Tensor y = draws.any_layout(b, DType::kF32);
      if (function == Binary::kDivide) y = within_domain(Unary::kLog, y);
      if (function == Binary::kPower) x = within_domain(Unary::kLog, x);
      // Far enough from each other that no step makes the other one the better.
      if (function == Binary::kMinimum || function == Binary::kMaximum) {
        x = scale(on_grid(x.clone()), 8);
        y = shift(scale(on_grid(y.clone()), 8), 0.1f);
      }
      if (function == Binary::kMinimum || function == Binary::kMaximum) {
        bool near = false;
        for (const float gap : absolute(subtract(x, y)).to_vector<float>()) near = near || gap < 0.08f;
        if (near) continue;
      }
      expect_gradient(
          {x, y}, [&](const std::vector<Tensor>& inputs) { return binary(function, inputs[0], inputs[1]); });
    }
  }
  expect_gradient({draws.dense({4, 9}, DType::kBF16), draws.dense({9}, DType::kBF16)},
                  [](const std::vector<Tensor>& inputs) { return multiply(inputs[0], inputs[1]); },
                  {.devices = {1e-2, 1e-2}});
}

TEST_F(ElementwiseGradient, OfEqualExtremesIsShared) {
  expect_gradient({Tensor::from(std::vector<float>{0, 2}, {2})}, [](const std::vector<Tensor>& inputs) {
    return add(maximum(inputs[0], inputs[0]), minimum(inputs[0], inputs[0]));
  });
}

TEST_F(ElementwiseGradient, OfAValueUsedSeveralTimesIsTheSum) {
  Draws draws(3);
  expect_gradient({draws.any_layout({4, 6}, DType::kF32), draws.any_layout({6}, DType::kF32)},
                  [](const std::vector<Tensor>& inputs) {
                    const Tensor x = multiply(inputs[0], inputs[1]);
                    const Tensor y = add(x, silu(x));
                    return add(multiply(y, x), multiply(y, y));
                  });
}

TEST_F(ElementwiseGradient, OfReductions) {
  Draws draws(4);
  const std::vector<std::vector<int>> dims = {{}, {0}, {-1}, {0, 2}, {1}};
  for (const Reduction reduction :
       {Reduction::kSum, Reduction::kMean, Reduction::kMaximum, Reduction::kMinimum})
    for (const std::vector<int>& over : dims)
      for (const bool keep : {false, true}) {
        SCOPED_TRACE(name_of(reduction));
        std::vector<float> values(2 * 3 * 5);
        // All different by more than the steps.
        for (size_t i = 0; i < values.size(); ++i)
          values[i] = static_cast<float>((i * 7 + over.size()) % values.size()) * 0.25f;
        expect_gradient(
            {Tensor::from(values, {2, 5, 3}).transpose(1, 2)},
            [&](const std::vector<Tensor>& inputs) { return reduce(reduction, inputs[0], over, keep); });
      }
  expect_gradient({draws.dense({0, 3}, DType::kF32)},
                  [](const std::vector<Tensor>& inputs) { return sum(inputs[0], {0}); });
  expect_gradient({draws.dense({300, 20}, DType::kBF16)},
                  [](const std::vector<Tensor>& inputs) { return mean(inputs[0], {0}); });
}

}  // namespace
}  // namespace martlet::ops::testing
