#pragma once

// Where GGUF files hold a weight otherwise than Hugging Face's: both ways.

#include "tensor/tensor.h"

namespace martlet::models {

/// Rows of each head from halves to pairs of neighbours, as a rotation of pairs wants them, and back.
/// `storage`: [rows, ...], contiguous.
Tensor heads_in_pairs(const Tensor& storage, int64_t head_dim);
Tensor heads_in_halves(const Tensor& storage, int64_t head_dim);

/// weight + shift in f32.
Tensor plus(const Tensor& weight, float shift);

}  // namespace martlet::models
