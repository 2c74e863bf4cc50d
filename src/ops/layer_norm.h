#pragma once

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// y = (x - mean) / sqrt(variance + eps) * weight + bias over the last dimension. x: [..., n]; weight, bias:
/// [n], bias may be nothing. Two passes: the mean first, then the squares of what is left. Ba et al., "Layer
/// Normalization", 2016.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps);
Cost layer_norm_cost(const Shape& x, DType dtype);

}  // namespace martlet::ops
