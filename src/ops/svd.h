#pragma once

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// a = u diag(s) v^T with k = min(m, n): u [m, k] and v [n, k] with orthonormal columns, s [k] descending and
/// not negative; all f32.
struct Svd {
  Tensor u;
  Tensor s;
  Tensor v;
};

/// Of a [m, n], f32, bf16 or f16. Throws when an element is not finite. Computed in double; the bits depend
/// on `a` and the instruction set, not on the threads.
Svd svd(const Tensor& a);
Cost svd_cost(const Shape& a);

}  // namespace martlet::ops
