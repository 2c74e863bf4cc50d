#include "ops/cpu/floats_avx512.h"
// The mathematics is written over the lanes above, the rows over the mathematics.
#include "ops/cpu/float_math.h"
// Keeps the order of the three.
#include "ops/cpu/row_templates.h"

namespace martlet::ops::cpu {

const RowKernels& row_kernels_avx512() {
  static constexpr RowKernels kKernels = make_row_kernels("AVX-512");
  return kKernels;
}

}  // namespace martlet::ops::cpu
