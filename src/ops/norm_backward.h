#pragma once

#include "tensor/tensor.h"

namespace martlet::ops {

/// What the backward of y = (x - mean) / sqrt(variance + eps) * (weight + offset) + bias over the last
/// dimension starts from; with `centred` off the mean is 0 and this is the root-mean-square norm.
struct NormBackward {
  Tensor x;
  Tensor weight;  ///< [n], or nothing for 1
  float weight_offset = 0;
  float eps = 0;
  bool centred = false;
  DType bias_dtype = DType::kF32;
};

struct NormGradients {
  Tensor x;       ///< of x's shape and dtype
  Tensor weight;  ///< [n], of the weight's dtype
  Tensor bias;    ///< [n]
};

/// Which of them are wanted; the others stay nothing.
struct WantedNormGradients {
  bool x = false;
  bool weight = false;
  bool bias = false;
};

/// With h = (x - mean) / sqrt(variance + eps) and g = dy (weight + offset):
/// dx = (g - mean(g) - h mean(g h)) / sqrt(variance + eps), dweight = sum(dy h), dbias = sum(dy) over rows.
/// Computed in f32 (double on the reference device). The sums over rows are taken within at most 64 blocks of
/// neighbouring rows first and then over blocks, in this order whatever the threads.
NormGradients norm_gradients(const NormBackward& norm, const Tensor& dy, const WantedNormGradients& wanted);

}  // namespace martlet::ops
