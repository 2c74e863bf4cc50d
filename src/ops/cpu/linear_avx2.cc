#include "ops/cpu/lanes_avx2.h"
// The templates are written over the lanes above.
#include "ops/cpu/linear_table.h"

namespace martlet::ops::cpu {

std::span<const TypedLinearKernels> linear_kernels_avx2() {
  return kTypedKernels;
}

}  // namespace martlet::ops::cpu
