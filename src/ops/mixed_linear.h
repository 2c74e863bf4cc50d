#pragma once

#include "ops/kernel.h"
#include "ops/weight.h"

namespace martlet::ops {

/// y = x W^T + bias as mixed precision has it: x and W rounded to bf16, products summed in f32, y in bf16. x:
/// [.., columns] f32 or bf16; W: [rows, columns], dense f32; bias: [rows] f32, or nothing. Its backward
/// rounds dy and W in the same way; dW is summed in f32 and never rounded. Where the processor has no
/// products of bf16, f32 factors stay as they are. Sums have the order of ops/cpu/matmul_kernels.h, whatever
/// the number of rows. Micikevicius et al., "Mixed Precision Training", 2018; Kalamkar et al., "A Study of
/// BFLOAT16", 2019.
Tensor mixed_linear(const Tensor& x, const Weight& weight, const Tensor& bias = {});

}  // namespace martlet::ops
