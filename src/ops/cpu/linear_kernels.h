#pragma once

// The inner loops of matrix products on the CPU, one set for each instruction set and type of weight.
//
// Every output is one sum in one order, whatever the number of x rows, output columns or threads: sixteen
// lanes run over k, lane l taking k = l, l + 16, l + 32, ... with one fused multiply-add each, and at the end
// lanes l and l + 8, then + 4, + 2, + 1 are added. Weights and x are both read along k, so a weight is used
// as it is stored, no layout of its own is needed, and one row costs what reading the weight costs. The cut
// of k into slices that fit the cache keeps the lanes' partial sums and does not change the order.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ops/weight.h"

namespace martlet::ops::cpu {

/// x rows that multiply a weight as it is stored; more go through panels of unpacked weight rows.
inline constexpr int64_t kFewRows = 4;

/// x rows [rows, padded columns] times weight rows as stored.
struct FewRows {
  const void* x;   ///< elements of `LinearKernels::element`, rows padded with zeros to `stride`
  int64_t x_rows;  ///< 1..kFewRows
  int64_t x_stride;
  const std::byte* weight;
  int64_t weight_rows;
  int64_t row_bytes;
  int64_t columns;
  float* out;  ///< [x_rows, weight_rows]
  int64_t out_stride;
};

/// A slice of k of x rows times a panel of weight rows.
struct Panel {
  const void* x;  ///< first element of the slice
  int64_t x_rows;
  int64_t x_stride;
  const void* panel;  ///< weight rows [columns, panel_stride], first element of the slice
  int64_t columns;
  int64_t panel_stride;
  int64_t steps;  ///< vectors of the slice
  float* sums;    ///< lanes kept between slices; unused when both first and last
  bool first;
  bool last;
  float* out;  ///< [x_rows, columns], written by the last slice
  int64_t out_stride;
};

struct LinearKernels {
  std::string_view name;
  DType element;   ///< of x and of panels: f32, or bf16 where the processor multiplies pairs of it
  int64_t vector;  ///< elements of a step; rows of x and of panels are padded to whole steps
  void (*few_rows)(const FewRows&);
  /// One stored row into panel elements, without padding.
  void (*unpack)(const std::byte* row, int64_t columns, void* out);
  void (*panel)(const Panel&);
};

struct TypedLinearKernels {
  std::string_view type_name;  ///< of the weight
  LinearKernels kernels;
};

/// The kernels of one instruction set for f32 x, and for x widened to it.
std::span<const TypedLinearKernels> linear_kernels_portable();
std::span<const TypedLinearKernels> linear_kernels_avx2();
std::span<const TypedLinearKernels> linear_kernels_avx512();

/// The best that this processor has for a weight of that type, x of that dtype.
const LinearKernels& linear_kernels(std::string_view type_name, DType x);

/// All rows of a weight on `kCpu` as f32 [rows, columns].
void unpack_rows(const Weight& weight, float* out);

/// y = x W^T + bias for contiguous tensors on `kCpu`. x: [tokens, columns], y: [tokens, rows], f32 or bf16;
/// bias: [rows] f32 or null.
void multiply(const LinearKernels& kernels, const Tensor& x, const Weight& weight, const float* bias,
              const Tensor& y);

}  // namespace martlet::ops::cpu
