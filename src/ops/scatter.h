#pragma once

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// x[i, index[i, j, k], k] = source[i, j, k] for dim 1, and so on: `gather` the other way round. index: i32
/// or i64, source's shape, no larger than x in the other dimensions; source: x's dtype. Where several go to
/// one place, the last in row-major order of `index` with `dim` first stays, and has its gradient. All three
/// write over x's elements, or make x a new tensor where somebody may need the old ones for a gradient.
void scatter_in_place(Tensor& x, int dim, const Tensor& index, const Tensor& source);
/// The same, adding. x: f32, bf16 or f16; a place's sum is f32 in that order (double on the reference device)
/// and rounded once.
void scatter_add_in_place(Tensor& x, int dim, const Tensor& index, const Tensor& source);
/// Slice i of source along `dim` is added to slice index[i] of x: the gradient of `index_select` and of an
/// embedding. index: [n]; source: x's shape with n in `dim`.
void index_add_in_place(Tensor& x, int dim, const Tensor& index, const Tensor& source);
Cost scatter_cost(const Shape& source, DType dtype);

}  // namespace martlet::ops
