#include "ops/cpu/svd_templates.h"

namespace martlet::ops::cpu {

const ColumnKernels& column_kernels_avx512() {
  static constexpr ColumnKernels kKernels = {dot, products, add_scaled, rotate};
  return kKernels;
}

}  // namespace martlet::ops::cpu
