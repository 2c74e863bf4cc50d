#pragma once

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

struct TopK {
  Tensor values;   ///< [..., k], x's dtype
  Tensor indices;  ///< [..., k] i64
};

/// The k largest of each row of the last dimension, largest first; of equal ones the lower index first; NaN
/// counts as the largest. Values pass their gradient on, indices have none. x: [..., n], f32, bf16 or f16,
/// any layout; 0 <= k <= n.
TopK top_k(const Tensor& x, int64_t k);
Cost top_k_cost(const Shape& x, DType dtype, int64_t k);

}  // namespace martlet::ops
