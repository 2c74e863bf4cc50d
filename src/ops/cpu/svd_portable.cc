#include "ops/cpu/svd_templates.h"

namespace martlet::ops::cpu {

const ColumnKernels& column_kernels_portable() {
  static constexpr ColumnKernels kKernels = {dot, products, add_scaled, rotate};
  return kKernels;
}

}  // namespace martlet::ops::cpu
