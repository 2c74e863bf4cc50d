#include "ops/cpu/int8_lanes_avx2.h"
// The templates are written over the lanes above.
#include "ops/cpu/linear_int8_table.h"

namespace martlet::ops::cpu {

const Int8KernelSet& int8_kernels_avx2() {
  return kInt8Set;
}

}  // namespace martlet::ops::cpu
