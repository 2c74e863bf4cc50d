#include "ops/cpu/floats_portable.h"
// The mathematics is written over the lanes above, the rows over the mathematics.
#include "ops/cpu/float_math.h"
// Keeps the order of the three.
#include "ops/cpu/gradient_templates.h"

namespace martlet::ops::cpu {

const GradientKernels& gradient_kernels_portable() {
  static constexpr GradientKernels kKernels = make_gradient_kernels();
  return kKernels;
}

}  // namespace martlet::ops::cpu
