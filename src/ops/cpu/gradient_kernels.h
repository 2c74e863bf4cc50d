#pragma once

// What the backward rules of element-wise operations, norms and softmaxes do to rows of f32, once for each
// instruction set. Sums have the order of row_kernels.h.

#include <cstdint>

#include "ops/elementwise.h"

namespace martlet::ops::cpu {

/// A row as a norm sees it: h = (x - mean) * scale, and its gradient before the weight: g = dy * weight.
struct NormRow {
  const float* x;
  const float* dy;
  const float* weight;  ///< or null for 1
  float mean;
  float scale;
  int64_t count;
};

struct GradientKernels {
  // In all of these a result may be one of the rows read.
  /// dx = dy f'(x).
  void (*unary)(const UnaryCall& call, const float* x, const float* dy, float* dx, int64_t count);
  /// Of y = f(gate) up: dgate = dy up f'(gate), dup = dy f(gate).
  void (*gate)(Unary activation, const float* gate, const float* up, const float* dy, float* dgate,
               float* dup, int64_t count);
  /// dx = y (dy - minus).
  void (*softmax)(const float* y, const float* dy, float minus, float* dx, int64_t count);
  /// dx = dy - exp(y) factor.
  void (*log_softmax)(const float* y, const float* dy, float factor, float* dx, int64_t count);

  /// The sum of a b.
  double (*dot)(const float* a, const float* b, int64_t count);
  /// The sum of g, and of g h.
  double (*norm_sum)(const NormRow& row);
  double (*norm_dot)(const NormRow& row);
  /// dx = scale (g - mean_of_g - h mean_of_gh).
  void (*norm)(const NormRow& row, float mean_of_g, float mean_of_gh, float* dx);
  /// dweight += dy h, and dbias += dy where it is not null.
  void (*norm_parameters)(const NormRow& row, float* dweight, float* dbias);
};

/// The best that this processor has (see limit_cpu_features).
const GradientKernels& gradient_kernels();

const GradientKernels& gradient_kernels_portable();
const GradientKernels& gradient_kernels_avx2();
const GradientKernels& gradient_kernels_avx512();

}  // namespace martlet::ops::cpu
