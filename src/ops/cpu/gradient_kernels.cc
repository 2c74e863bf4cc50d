#include "ops/cpu/gradient_kernels.h"

#include "ops/cpu_features.h"

namespace martlet::ops::cpu {

const GradientKernels& gradient_kernels() {
  if (cpu_features().avx512) return gradient_kernels_avx512();
  if (cpu_features().avx2) return gradient_kernels_avx2();
  return gradient_kernels_portable();
}

}  // namespace martlet::ops::cpu
