#pragma once

// The inner loops of matrix products on the CPU, one set for each instruction set and type of weight.
//
// Every output is one sum in one order, whatever the number of x rows, output columns or threads. k is cut
// into slices (`slice_steps`). Over a slice run sixteen lanes, lane l taking k = l, l + 16, l + 32, ... with
// one fused multiply-add each; at its end lanes l and l + 8 are added, then l + 4, l + 2 and l + 1, and the
// slices' sums are added up in order. Weights and x are both read along k, so a weight is used as it is
// stored, no layout of its own is needed, and one row costs what reading the weight costs.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ops/weight.h"

namespace martlet::ops::cpu {

/// x rows that multiply a weight as it is stored; more go through panels of unpacked weight rows.
inline constexpr int64_t kFewRows = 4;

/// Vectors in a slice of k, when all of k takes `steps`: at most 48, so that four x rows and eight panel rows
/// of a slice (36 KiB) stay in the L1 cache, and whole blocks of 256 elements.
int64_t slice_steps(int64_t steps);

/// x rows times weight rows as stored.
struct FewRows {
  const void* x;   ///< elements of `LinearKernels::element`, rows padded with zeros to whole vectors
  int64_t x_rows;  ///< 1..kFewRows
  int64_t x_stride;
  const std::byte* weight;
  int64_t weight_rows;
  int64_t row_bytes;
  int64_t columns;
  int64_t slice;  ///< elements
  float* out;     ///< [x_rows, weight_rows]
  int64_t out_stride;
};

/// A slice of x rows times that of a panel of weight rows.
struct Panel {
  const void* x;
  int64_t x_rows;
  int64_t x_stride;
  const void* panel;  ///< [columns, panel_stride]
  int64_t columns;
  int64_t panel_stride;
  int64_t steps;  ///< vectors
  bool add;       ///< to what `out` holds: not the first slice of a new sum
  float* out;     ///< [x_rows, columns]
  int64_t out_stride;
  const std::byte* next;  ///< stored rows of the next panel, to be called for meanwhile
  int64_t next_rows;
  int64_t next_row_bytes;
  int64_t next_bytes;  ///< of each row
};

struct LinearKernels {
  std::string_view name;
  DType element;   ///< of x and of panels: f32, or bf16 where the processor multiplies pairs of it
  int64_t vector;  ///< elements of a step; rows of x and of panels are padded to whole steps
  void (*few_rows)(const FewRows&);
  /// A part of a stored row, from the start of a block on, into panel elements, without padding.
  void (*unpack)(const std::byte* row, int64_t columns, void* out);
  void (*panel)(const Panel&);
  /// f32 to bf16, `bias` (or null) added before.
  void (*to_bf16)(const float* values, const float* bias, int64_t count, BF16* out);
};

struct TypedLinearKernels {
  std::string_view type_name;  ///< of the weight
  LinearKernels kernels;
};

/// The kernels of one instruction set for f32 x, and for x widened to it.
std::span<const TypedLinearKernels> linear_kernels_portable();
std::span<const TypedLinearKernels> linear_kernels_avx2();
std::span<const TypedLinearKernels> linear_kernels_avx512();
/// For bf16 x and bf16 weights.
std::span<const TypedLinearKernels> linear_kernels_avx512bf16();

/// The best that this processor has for a weight of that type, x of that dtype.
const LinearKernels& linear_kernels(std::string_view type_name, DType x);

/// All rows of a weight on `kCpu` as f32 [rows, columns].
void unpack_rows(const Weight& weight, float* out);

/// y = x W^T + bias on `kCpu`. x: [tokens, columns], f32 or bf16, its last stride 1; y: [tokens, rows], f32
/// or bf16 whatever x is, contiguous; bias: [rows] f32 or null. `add`: y += x W^T instead, y of f32, no bias.
void multiply(const LinearKernels& kernels, const Tensor& x, const Weight& weight, const float* bias,
              const Tensor& y, bool add = false);

}  // namespace martlet::ops::cpu
