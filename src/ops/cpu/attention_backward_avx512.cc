#include "ops/cpu/floats_avx512.h"
// Mathematics and blocks are written over the lanes above, the kernel over all of them.
#include "ops/cpu/float_math.h"
// Keeps the order.
#include "ops/cpu/float_blocks_avx512.h"
// Keeps the order.
#include "ops/cpu/attention_backward_f32_templates.h"

namespace martlet::ops::cpu {

const AttentionBackwardKernel& attention_backward_avx512() {
  static constexpr AttentionBackwardKernel kKernel = {run_unit, scratch_floats};
  return kKernel;
}

}  // namespace martlet::ops::cpu
