#include "ops/cpu/floats_portable.h"
// Mathematics and blocks are written over the lanes above, the kernel over all of them.
#include "ops/cpu/float_math.h"
// Keeps the order.
#include "ops/cpu/float_blocks_portable.h"
// Keeps the order.
#include "ops/cpu/attention_templates.h"

namespace martlet::ops::cpu {

const AttentionKernels& attention_kernels_portable() {
  static constexpr AttentionKernels kKernels = {attend, merge, finish};
  return kKernels;
}

}  // namespace martlet::ops::cpu
