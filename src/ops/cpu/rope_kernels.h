#pragma once

// The rotation of one token's heads, once for each instruction set.

#include <cstdint>

namespace martlet::ops::cpu {

/// Heads of f32, `stride` elements from one to the next. `to` may be `from`. Strides are in elements.
struct RopeHeads {
  const float* from;
  int64_t from_stride;
  float* to;
  int64_t to_stride;
  int64_t heads;
  int64_t pairs;        // dimensions / 2
  const float* cosine;  // [pairs]
  const float* sine;
};

using RopeKernel = void (*)(const RopeHeads&);

void rope_heads_portable(const RopeHeads& call);
void rope_heads_avx2(const RopeHeads& call);
void rope_heads_avx512(const RopeHeads& call);

}  // namespace martlet::ops::cpu
