#include "ops/cpu/int8_lanes_portable.h"
// The templates are written over the lanes above.
#include "ops/cpu/linear_int8_table.h"

namespace martlet::ops::cpu {

const Int8KernelSet& int8_kernels_portable() {
  return kInt8Set;
}

}  // namespace martlet::ops::cpu
