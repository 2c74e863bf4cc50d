#pragma once

#include "ops/kernel.h"
#include "ops/weight.h"

namespace martlet::ops {

/// A matrix as signed bytes with a scale for every row: element [row, column] = scale * code.
struct ByteRows {
  Weight codes;   ///< int8 [rows, columns]
  Tensor scales;  ///< f32 [rows]
};

/// Rows rounded to multiples of their greatest magnitude / 127. That scale is itself rounded to 16
/// significant bits, so that 127 times it is exact and rounding the rounded rows again gives them back, bit
/// for bit. On kCpu. Throws BadInput when a weight is not finite.
ByteRows byte_rows(const Weight& weight);

/// y = x W^T + bias, where W is `weight` and what of x is greater than `threshold` counts as it is; the rest
/// of a row of x is rounded to multiples of the greatest magnitude that is left / 127, so that its products
/// are sums of integers. Dettmers et al., "LLM.int8(): 8-bit Matrix Multiplication for Transformers at
/// Scale", 2022; but every row of x has its own outliers, so that a row's result does not depend on the rows
/// beside it. x: [..., columns] f32 or bf16; bias: f32 [rows] or nothing; result: [..., rows] of x's dtype.
/// All kernels give the same bits, on any number of threads. An element of x that is not finite counts as an
/// outlier. No gradient passes through.
Tensor outlier_linear(const Tensor& x, const ByteRows& weight, float threshold, const Tensor& bias = {});
Cost outlier_linear_cost(int64_t tokens, const ByteRows& weight);

}  // namespace martlet::ops
