#pragma once

// The two products behind `linear`: for y = x W^T, dx = dy W and dW = dy^T x.

#include "ops/weight.h"

namespace martlet::ops {

/// dx = dy W. dy: [.., rows] f32 or bf16; W: [rows, columns], any dense or packed type; result: [.., columns]
/// of dy's dtype. Sums run over the weight's rows as those of `linear` run over its columns.
Tensor linear_input_gradient(const Tensor& dy, const Weight& weight);

/// dW = dy^T x in f32, sums over tokens never rounded to less. dy: [.., rows], x: [.., columns] with the same
/// dimensions in front, f32 or bf16; result: f32 [rows, columns].
Tensor linear_weight_gradient(const Tensor& dy, const Tensor& x);

/// dW += dy^T x. dw: f32 [rows, columns], contiguous.
void add_linear_weight_gradient(const Tensor& dw, const Tensor& dy, const Tensor& x);

}  // namespace martlet::ops
