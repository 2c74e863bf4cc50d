#pragma once

#include "tensor/tensor.h"

namespace martlet::ops {

/// y = a b + bias with both factors rounded to bf16 and sums in f32, as ops/mixed_linear.h tells. a: [m, k],
/// b: [k, n], of f32 or bf16, any layout; bias: [n] f32, or nothing; y: [m, n] of `result`, f32 or bf16.
/// Records nothing.
Tensor mixed_matmul(const Tensor& a, const Tensor& b, DType result, const Tensor& bias = {});

/// The values of a matrix rounded to f16 (to infinity beyond 65504), as f32 in the matrix's own layout: a
/// factor as products of f16 take it. No processor that this runs on sums products of f16 in f32, so f32
/// products of such values are the definition and the kernel in one. Records nothing.
Tensor rounded_to_f16(const Tensor& matrix);

}  // namespace martlet::ops
