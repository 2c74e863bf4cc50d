#pragma once

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

enum class LossReduction : uint8_t {
  kMean,  ///< over the targets that count; NaN when none does
  kSum,
  kNone,  ///< one loss a target, 0 where ignored
};

/// log(sum(exp(logits))) - logits[target] of each row, in nats. logits: [..., classes], f32, bf16 or f16, any
/// layout; targets: [...], i32 or i64, in [0, classes) or `ignore_index`, which takes no part. Result: f32,
/// [] or
/// [...]. Each row is read once in blocks and its probabilities are never stored; sums are f32 in the order
/// of ops/cpu/row_kernels.h, rows are added in double, first to last.
Tensor cross_entropy(const Tensor& logits, const Tensor& targets,
                     LossReduction reduction = LossReduction::kMean, int64_t ignore_index = -100);
Cost cross_entropy_cost(const Shape& logits, DType dtype);

}  // namespace martlet::ops
