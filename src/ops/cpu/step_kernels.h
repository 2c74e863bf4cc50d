#pragma once

// Updates of optimisers over a row of f32, once for each instruction set. Coefficients are worked out in
// double beforehand (ops/optimizer_steps.cc).

#include <cstdint>

namespace martlet::ops::cpu {

struct AdamWRow {
  float keep;  ///< 1 - rate * decay
  float gradient_scale;
  float fresh1, beta2, fresh2;  ///< 1 - beta1, beta2, 1 - beta2
  float rate;                   ///< rate / (1 - beta1^step)
  float root_scale;             ///< 1 / sqrt(1 - beta2^step)
  float epsilon;
};

struct SgdRow {
  float keep;
  float gradient_scale;
  float momentum;
  float rate;
  bool nesterov;
};

struct LionRow {
  float keep;
  float gradient_scale;
  float beta1, fresh1, beta2, fresh2;
  float rate;
};

struct StepKernels {
  void (*adamw)(const AdamWRow& row, float* p, const float* g, float* m, float* v, int64_t count);
  /// b may be null.
  void (*sgd)(const SgdRow& row, float* p, const float* g, float* b, int64_t count);
  void (*lion)(const LionRow& row, float* p, const float* g, float* m, int64_t count);
};

/// The best that this processor has (see limit_cpu_features).
const StepKernels& step_kernels();

const StepKernels& step_kernels_portable();
const StepKernels& step_kernels_avx2();
const StepKernels& step_kernels_avx512();

}  // namespace martlet::ops::cpu
