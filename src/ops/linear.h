#pragma once

#include "ops/kernel.h"
#include "ops/weight.h"

namespace martlet::ops {

/// y = x W^T + bias. x: [..., columns] f32 or bf16; W: [rows, columns], any dense or packed type; bias:
/// [rows] f32 or nothing; result: [..., rows] of x's dtype. Sums run in f32 (double on the reference device)
/// and in one fixed order: an output row has the same bits whatever other rows are there and however many
/// threads work.
Tensor linear(const Tensor& x, const Weight& weight, const Tensor& bias = {});

/// The name of the kernel that `linear` would use.
std::string_view linear_kernel(const Tensor& x, const Weight& weight);
Cost linear_cost(int64_t tokens, const Weight& weight);

}  // namespace martlet::ops
