#pragma once

// What every backward rule is held to: central finite differences on the reference device, the cpu against
// the reference device at every instruction set, layouts and threads.

#include "ops/op_testing.h"

namespace martlet::ops::testing {

/// How exact a gradient must be: against finite differences relative to the largest one, between the devices
/// as `Tolerance` says.
struct GradientTolerance {
  double differences = 2e-4;
  Tolerance devices = {1e-5, 1e-5};
};

/// Values rounded to multiples of 1/1024, so that the steps of finite differences are exact.
Tensor on_grid(const Tensor& tensor);

/// Gradients of sum(operation(inputs) * r) for random r, with respect to the inputs whose dtype is floating.
///
/// On the reference device the gradients of f32 inputs equal (8 (f(x + h) - f(x - h)) - (f(x + 2h) - f(x -
/// 2h))) / 12 h, element by element; all others are only compared with it. On the cpu they are near those of
/// the reference device at every instruction set, and have the same bits for dense inputs and views, and for
/// one thread and two. An undefined input stays so.
void expect_gradient(const std::vector<Tensor>& inputs, const Operation& operation,
                     const GradientTolerance& tolerance = {});

/// The same without finite differences, for larger sizes and narrow floats. `fused_agree`: AVX2 and AVX-512
/// give the same bits, which products of bf16 do not where the processor adds them in pairs.
void expect_same_gradient(const std::vector<Tensor>& inputs, const Operation& operation,
                          const Tolerance& tolerance = {1e-5, 1e-5}, bool fused_agree = true);

/// For rules that round to bf16 on their way where the processor multiplies it: each gradient as a whole
/// differs from the reference device's by at most `relative` of its Euclidean norm, there
/// `relative_of_pairs`; layouts and threads give the same bits.
void expect_gradient_within(const std::vector<Tensor>& inputs, const Operation& operation, double relative,
                            double relative_of_pairs);

}  // namespace martlet::ops::testing
