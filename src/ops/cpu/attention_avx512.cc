#include "ops/cpu/float_lanes_avx512.h"
// The lanes come first: the kernel is written in terms of them.
#include "ops/cpu/attention_lanes.h"

namespace martlet::ops::cpu {

const AttentionKernels kAttentionAvx512 = {attend, merge, finish};

}  // namespace martlet::ops::cpu
