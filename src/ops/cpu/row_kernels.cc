#include "ops/cpu/row_kernels.h"

#include "ops/cpu_features.h"

namespace martlet::ops::cpu {

const RowKernels& row_kernels() {
  if (cpu_features().avx512) return row_kernels_avx512();
  if (cpu_features().avx2) return row_kernels_avx2();
  return row_kernels_portable();
}

}  // namespace martlet::ops::cpu
