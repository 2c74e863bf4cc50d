#pragma once

// What element-wise operations, norms and softmaxes do to a row of f32 in memory, once for each instruction
// set. Operations read elements of other dtypes and layouts through ops/cpu/row_access.h.
//
// Sums run in a fixed order that depends on the row's length alone: element k of a block of 4096 goes to lane
// k mod 64, f32; the lanes are added as a tree (32 + 32, 16 + 16, ...), and the blocks' sums in double.

#include <cstdint>
#include <string_view>

#include "ops/elementwise.h"

namespace martlet::ops::cpu {

/// Elements whose sum is f32.
inline constexpr int64_t kSumBlock = 4096;

struct RowKernels {
  std::string_view name;

  // In all of these y may be x.
  void (*unary)(const UnaryCall& call, const float* x, float* y, int64_t count);
  void (*binary)(Binary function, const float* a, const float* b, float* y, int64_t count);

  double (*sum)(const float* x, int64_t count);
  /// The sum of (x - minus)^2.
  double (*sum_of_squares)(const float* x, float minus, int64_t count);
  /// NaN when there is one; minus infinity of nothing.
  float (*largest)(const float* x, int64_t count);
  /// NaN when there is one; infinity of nothing.
  float (*smallest)(const float* x, int64_t count);
  /// y = exp(x - minus) and the sum of y.
  double (*exponentials)(const float* x, float minus, float* y, int64_t count);
  /// y = (x - minus) * scale * weight + bias; weight and bias may be null.
  void (*normalise)(const float* x, float minus, float scale, const float* weight, const float* bias,
                    float* y, int64_t count);

  /// y += factor * x, each rounded once.
  void (*add_scaled)(const float* x, float factor, float* y, int64_t count);

  void (*widen_bf16)(const void* from, float* to, int64_t count);
  void (*widen_f16)(const void* from, float* to, int64_t count);
  void (*narrow_bf16)(const float* from, void* to, int64_t count);
  void (*narrow_f16)(const float* from, void* to, int64_t count);
};

/// The best that this processor has (see limit_cpu_features).
const RowKernels& row_kernels();

const RowKernels& row_kernels_portable();
const RowKernels& row_kernels_avx2();
const RowKernels& row_kernels_avx512();

}  // namespace martlet::ops::cpu
