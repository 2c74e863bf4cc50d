#pragma once

#include "ops/kernel.h"
#include "ops/weight.h"

namespace martlet::ops {

/// y = x W^T + bias as mixed precision has it: x and W rounded to `factors`, products summed in f32. x:
/// [.., columns] f32 or bf16; W: [rows, columns], dense f32; bias: [rows] f32, or nothing. Its backward
/// rounds dy and W in the same way; dW is summed in f32 and never rounded. Sums have the order of
/// ops/cpu/matmul_kernels.h, whatever the number of rows.
///
/// Of bf16, y is bf16; where the processor has no products of bf16, f32 factors stay as they are. Of f16, y
/// is f32, for its range is that of a sum, and whatever is beyond 65504 becomes infinite as a factor: scale
/// the loss, and look at the gradients. Micikevicius et al., "Mixed Precision Training", 2018; Kalamkar et
/// al., "A Study of BFLOAT16", 2019.
Tensor mixed_linear(const Tensor& x, const Weight& weight, const Tensor& bias = {},
                    DType factors = DType::kBF16);

}  // namespace martlet::ops
