#include "ops/cpu/byte_rows_kernels.h"

#include "ops/cpu_features.h"

namespace martlet::ops::cpu {

ByteProduct byte_product() {
  const CpuFeatures& features = cpu_features();
  if (features.avx512_vnni) return byte_product_avx512vnni;
  return features.avx2 ? byte_product_avx2 : byte_product_portable;
}

}  // namespace martlet::ops::cpu
