#pragma once

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// exp(x - max) / sum(exp(x - max)) over one dimension. x: any shape of at least one dimension and any
/// layout, f32, bf16 or f16; computed in f32, the sum in f32 lanes in a fixed order, rounded once. Result:
/// dense, of x's dtype.
Tensor softmax(const Tensor& x, int dim = -1);
/// x - max - log(sum(exp(x - max))).
Tensor log_softmax(const Tensor& x, int dim = -1);
Cost softmax_cost(const Shape& x, DType dtype);

}  // namespace martlet::ops
