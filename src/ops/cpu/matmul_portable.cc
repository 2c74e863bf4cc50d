#include "ops/cpu/lanes_portable.h"
// The templates are written over the lanes above.
#include "ops/cpu/matmul_templates.h"

namespace martlet::ops::cpu {

const MatmulKernels& matmul_kernels_portable() {
  static constexpr MatmulKernels kKernels = {kLanesName, DType::kF32,         kMatmulRows, kPanelColumns,
                                             false,      matmul_panel<float>, pack_f32,    convert_to_f32};
  return kKernels;
}

}  // namespace martlet::ops::cpu
