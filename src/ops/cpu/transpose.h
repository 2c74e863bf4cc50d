#pragma once

// Transposed copies of matrices of two- and four-byte elements: products read both factors along k.

#include "tensor/tensor.h"

namespace martlet::ops::cpu {

/// to[c][r] = from[r][c], and zeros for r from the rows of `from` on. from: [rows, columns] on `kCpu`, its
/// last stride 1; to: [columns, at least rows], contiguous, of the same dtype (f32, bf16).
void transpose(const Tensor& from, const Tensor& to);

/// A square of 64 bytes a side, rows `from_stride` and `to_stride` bytes apart.
struct TransposeKernels {
  void (*square_of_words)(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride);
  void (*square_of_halves)(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride);
};
const TransposeKernels& transpose_kernels_portable();
const TransposeKernels& transpose_kernels_avx2();

}  // namespace martlet::ops::cpu
