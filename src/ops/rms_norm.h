#pragma once

#include <optional>

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// What an RMS norm multiplies by and adds to the mean of squares: arguments of rms_norm.
struct RmsNormParameters {
  Tensor weight;
  float eps;
  float weight_offset = 0;
};

/// y = x / sqrt(mean(x^2) + eps) * (weight + weight_offset) over the last dimension. x: [..., n] f32 or bf16;
/// weight: [n] of any floating dtype, or nothing for 1. The sum of squares is f32 in a fixed order (double on
/// the reference device). Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019. Gemma stores
/// weight - 1: its offset is 1. y has x's dtype unless `result` names another floating one.
Tensor rms_norm(const Tensor& x, const Tensor& weight, float eps, float weight_offset = 0,
                std::optional<DType> result = {});

/// residual += x in place (see add_in_place), then the norm of the sum: one pass over memory instead of two
/// where no gradient is recorded.
Tensor add_rms_norm(Tensor& residual, const Tensor& x, const Tensor& weight, float eps,
                    float weight_offset = 0);

Cost rms_norm_cost(const Shape& x, DType dtype);

}  // namespace martlet::ops
