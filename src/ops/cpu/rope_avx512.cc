#include "ops/cpu/float_lanes_avx512.h"
// The lanes come first: the kernel is written in terms of them.
#include "ops/cpu/rope_lanes.h"

namespace martlet::ops::cpu {

void rope_avx512(const RopeRows& rows) {
  rotate(rows);
}

}  // namespace martlet::ops::cpu
