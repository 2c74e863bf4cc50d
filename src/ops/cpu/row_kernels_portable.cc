#include "ops/cpu/floats_portable.h"
// The mathematics is written over the lanes above, the rows over the mathematics.
#include "ops/cpu/float_math.h"
// Keeps the order of the three.
#include "ops/cpu/row_templates.h"

namespace martlet::ops::cpu {

const RowKernels& row_kernels_portable() {
  static constexpr RowKernels kKernels = make_row_kernels("portable");
  return kKernels;
}

}  // namespace martlet::ops::cpu
