#include "ops/cpu/floats_portable.h"
// The rows are written over the lanes above.
#include "ops/cpu/step_templates.h"

namespace martlet::ops::cpu {

const StepKernels& step_kernels_portable() {
  return kStepKernels;
}

}  // namespace martlet::ops::cpu
