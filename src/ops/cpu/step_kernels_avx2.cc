#include "ops/cpu/floats_avx2.h"
// The rows are written over the lanes above.
#include "ops/cpu/step_templates.h"

namespace martlet::ops::cpu {

const StepKernels& step_kernels_avx2() {
  return kStepKernels;
}

}  // namespace martlet::ops::cpu
