#include "ops/cpu/float_lanes_avx2.h"
// The lanes come first: the kernel is written in terms of them.
#include "ops/cpu/rope_lanes.h"

namespace martlet::ops::cpu {

void rope_avx2(const RopeRows& rows) {
  rotate(rows);
}

}  // namespace martlet::ops::cpu
