#pragma once

// Products of two matrices on the CPU, y = a b, whatever the layout of the two: what a backward pass and
// training in bf16 are made of. Lanes run along the columns of y, so that no lanes are added up and no factor
// has to be transposed as a whole.
//
// Every output is one sum in one order, whatever the numbers of rows, columns and threads: k is cut into
// slices (`matmul_slice_steps`), over a slice runs one fused multiply-add a step of k (of bf16: a pair of
// them), and the slices' sums are added up in order. It is another order than that of `linear`.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ops/cpu/lines_ahead.h"
#include "tensor/tensor.h"

namespace martlet::ops::cpu {

/// Steps of a slice at most: a panel of 32 columns (24 KiB) stays in the L1 cache.
inline constexpr int64_t kMostMatmulSteps = 192;
/// Steps of k in a slice when all of k takes `steps`.
int64_t matmul_slice_steps(int64_t steps);

/// A slice of rows of a times a panel of b.
struct MatmulPanel {
  const void* a;  ///< element (row, step) at row * row_stride + step (words), or packed
  int64_t rows;
  int64_t row_stride;
  bool packed;        ///< strips of `tile_rows` rows: [steps, tile_rows] words each
  const void* panel;  ///< [steps, tile_columns] words
  int64_t steps;
  bool add;    ///< to what `out` holds
  float* out;  ///< [rows, tile_columns]
  int64_t out_stride;
  BF16* narrow;  ///< where the sums go, rounded, instead of `out`, or null
  int64_t narrow_stride;
  NextRows next;  ///< what will be packed next, to be called for meanwhile
};

/// What is packed: `count` neighbours of each of `k` rows, f32 or bf16.
struct MatmulRows {
  const std::byte* from;
  DType type;
  int64_t stride;
  int64_t count;
  int64_t k;
};

/// The inner loops of one instruction set. A word is what one step of k takes of a row or column: an f32, or
/// a pair of bf16.
struct MatmulKernels {
  std::string_view name;
  DType element;  ///< that is multiplied: f32, or bf16 where the processor multiplies pairs of it
  int64_t tile_rows;
  int64_t tile_columns;
  bool rows_along_k;  ///< rows of a are never packed in strips
  void (*panel)(const MatmulPanel&);
  /// Neighbours that lie beside each other at every k, k's `stride` bytes apart, to words [steps, width].
  void (*pack)(const MatmulRows& from, int64_t width, std::byte* to);
  /// `count` elements in a row to elements of the kernels' type.
  void (*convert)(const std::byte* from, DType type, int64_t count, std::byte* to);
};

const MatmulKernels& matmul_kernels_portable();
const MatmulKernels& matmul_kernels_avx2();
const MatmulKernels& matmul_kernels_avx512();
/// Of pairs of bf16.
const MatmulKernels& matmul_kernels_avx512bf16();
/// Of tiles of bf16 (amx_tiles.h). The sums go on from slice to slice; of each 16 steps the products of even
/// and of odd elements make a chain each, from 0 on, and both are added before they are added to the sum.
const MatmulKernels& matmul_kernels_amx();

/// The best that this processor has for sums of products of f32, or of factors that are bf16 or may be
/// rounded to it.
const MatmulKernels& matmul_kernels(DType factors);

/// y = a b + bias on `kCpu`; a: [m, k], b: [k, n], of f32 or bf16 each, any strides; where the kernels take
/// bf16, f32 is rounded to it. y: [m, n] of f32 or bf16, its rows contiguous; bias: [n] f32 or null. `add`:
/// y += a b instead, y of f32, no bias.
void multiply_matrices(const MatmulKernels& kernels, const Tensor& a, const Tensor& b, const float* bias,
                       const Tensor& y, bool add = false);

}  // namespace martlet::ops::cpu
