#include "ops/cpu/floats_avx2.h"
// Mathematics and blocks are written over the lanes above, the kernel over all of them.
#include "ops/cpu/float_math.h"
// Keeps the order.
#include "ops/cpu/float_blocks_avx2.h"
// Keeps the order.
#include "ops/cpu/attention_backward_templates.h"

namespace martlet::ops::cpu {

void attention_backward_avx2(const AttentionBackwardUnit& unit) {
  run_unit(unit);
}

}  // namespace martlet::ops::cpu
