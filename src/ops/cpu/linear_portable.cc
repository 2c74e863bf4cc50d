#include "ops/cpu/lanes_portable.h"
// The templates are written over the lanes above.
#include "ops/cpu/linear_table.h"

namespace martlet::ops::cpu {

std::span<const TypedLinearKernels> linear_kernels_portable() {
  return kTypedKernels;
}

}  // namespace martlet::ops::cpu
