#pragma once

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// y[i] = x[0] + ... + x[i] along `dim`, added one after another in double and each rounded to x's dtype
/// (f32, bf16 or f16); of integers exact, i64, wrapping. Any shape of at least one dimension and any layout.
Tensor cumulative_sum(const Tensor& x, int dim = -1);
Cost cumulative_sum_cost(const Shape& x, DType dtype);

}  // namespace martlet::ops
