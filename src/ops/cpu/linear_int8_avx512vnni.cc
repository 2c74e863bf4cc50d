#include "ops/cpu/int8_lanes_avx512vnni.h"
// The templates are written over the lanes above.
#include "ops/cpu/linear_int8_many.h"
#include "ops/cpu/linear_int8_table.h"

namespace martlet::ops::cpu {

const Int8KernelSet& int8_kernels_avx512vnni() {
  static constexpr Int8KernelSet kSet{kInt8Name, quantise, kInt8Formats, kManyRowsInt8Formats};
  return kSet;
}

}  // namespace martlet::ops::cpu
