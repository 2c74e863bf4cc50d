#pragma once

#include "tensor/tensor.h"

namespace martlet::ops {

/// y = a b + bias with both factors rounded to bf16 and sums in f32, as ops/mixed_linear.h tells. a: [m, k],
/// b: [k, n], of f32 or bf16, any layout; bias: [n] f32, or nothing; y: [m, n] of `result`, f32 or bf16.
/// Records nothing.
Tensor mixed_matmul(const Tensor& a, const Tensor& b, DType result, const Tensor& bias = {});

}  // namespace martlet::ops
