#pragma once

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// The index of the largest element of each row along `dim`, the first where several are equal; a NaN counts
/// as the largest. x: f32, bf16 or f16, any layout, `dim` not empty. Result: i64, x's shape without `dim`, or
/// with 1 there to `keep` it. Over several dimensions: reshape them into one.
Tensor argmax(const Tensor& x, int dim = -1, bool keep = false);
Cost argmax_cost(const Shape& x, DType dtype);

}  // namespace martlet::ops
