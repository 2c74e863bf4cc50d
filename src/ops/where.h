#pragma once

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// a where `condition` holds, else b; all three broadcast against each other. condition: bool; a, b: one
/// dtype, any. Result: dense, of that dtype.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
Cost where_cost(const Shape& result, DType dtype);

}  // namespace martlet::ops
