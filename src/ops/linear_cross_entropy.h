#pragma once

#include "ops/kernel.h"
#include "ops/weight.h"

namespace martlet::ops {

struct LinearLossOptions {
  /// Factors of products are rounded to this, as ops/mixed_linear.h tells: f32 (not at all), bf16 or f16.
  DType factors = DType::kF32;
  float logit_scale = 1;  ///< logits are multiplied by this
  int64_t ignore_index = -100;
};

/// The mean of cross_entropy(logit_scale * linear(x, weight), targets) over the targets that count (NaN when
/// none does), from the hidden state to the loss without ever holding all logits: rows go in chunks, and
/// where a gradient is recorded, each chunk's logits become their own gradient at once, from which those of x
/// and the weight are made. So a head of 50,000 tokens costs one chunk of memory, and the logits are computed
/// once. x: [rows, columns] f32 or bf16; weight: [classes, columns], dense f32; targets: [rows], i32 or i64.
/// Result: f32 []. Without `mixed` the loss has the bits of the two operations. Hsu et al., "Liger Kernel",
/// 2024.
Tensor linear_cross_entropy(const Tensor& x, const Weight& weight, const Tensor& targets,
                            const LinearLossOptions& options);

/// Rows whose logits stand in memory at once.
int64_t linear_cross_entropy_chunk(int64_t classes);

}  // namespace martlet::ops
