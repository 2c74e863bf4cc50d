#include "ops/cpu/floats_avx2.h"
// The mathematics is written over the lanes above, the rows over the mathematics.
#include "ops/cpu/float_math.h"
// Keeps the order of the three.
#include "ops/cpu/row_templates.h"

namespace martlet::ops::cpu {

const RowKernels& row_kernels_avx2() {
  static constexpr RowKernels kKernels = make_row_kernels("AVX2");
  return kKernels;
}

}  // namespace martlet::ops::cpu
