#pragma once

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// y[i, j, k] = x[i, index[i, j, k], k] for dim 1, and so on. index: i32 or i64, of x's rank, no larger than
/// x in the other dimensions; x: any dtype and layout. Result: dense, index's shape, x's dtype.
Tensor gather(const Tensor& x, int dim, const Tensor& index);
/// The slices of x along `dim` that `index` [n] names, one after another. Result: dense, x's shape with n in
/// `dim`.
Tensor index_select(const Tensor& x, int dim, const Tensor& index);
Cost gather_cost(const Shape& result, DType dtype);

}  // namespace martlet::ops
