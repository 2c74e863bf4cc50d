#pragma once

// Products that read only some rows of a matrix.

#include "ops/cost.h"
#include "ops/weight.h"

namespace martlet::ops {

/// x [tokens, columns] f32 times row i of `weight` [n, columns] for every token whose `chosen` [tokens, n]
/// f32 is not zero there, and zero elsewhere: [tokens, n] f32. Rows that no token chooses are not read. A
/// product is summed in double over blocks of 4096, in an order of its own (ops/cpu/row_kernels.h), whatever
/// the other tokens and threads. Without a gradient: throws where one is recorded.
Tensor products_where(const Tensor& x, const Weight& weight, const Tensor& chosen);

/// The sum over i of factors[t, i] * row i of `weight` [n, columns]: [tokens, columns] f32. Rows whose
/// factors are all zero are not read. Each element is one chain of fused multiply-adds over the rows in
/// order, to which a zero adds nothing, so that a token's sum does not depend on the others'. Without a
/// gradient, likewise.
Tensor sum_of_rows(const Tensor& factors, const Weight& weight);

}  // namespace martlet::ops
