#pragma once

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// x[0]^2 + x[1]^2 + ... of all elements of a floating tensor, for norms of gradients and updates: blocks of
/// 65,536 elements in row-major order are added in double, one after another, so the bits do not depend on
/// threads. 0 of nothing.
double sum_of_squares(const Tensor& x);
Cost sum_of_squares_cost(const Shape& x, DType dtype);

}  // namespace martlet::ops
