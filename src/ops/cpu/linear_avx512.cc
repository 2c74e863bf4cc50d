#include "ops/cpu/lanes_avx512.h"
// The templates are written over the lanes above.
#include "ops/cpu/linear_table.h"

namespace martlet::ops::cpu {

std::span<const TypedLinearKernels> linear_kernels_avx512() {
  return kTypedKernels;
}

}  // namespace martlet::ops::cpu
