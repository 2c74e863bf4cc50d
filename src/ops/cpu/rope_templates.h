#pragma once

// The rotation over sixteen lanes. Include one of floats_*.h first.

#include "ops/cpu/rope_kernels.h"

namespace martlet::ops::cpu {
namespace {

/// Products and sums are rounded one by one (no fused multiply-add), as where they are separate operations.
void rotate_heads(const RopeHeads& call) {
  for (int64_t head = 0; head < call.heads; ++head) {
    const float* from = call.from + head * call.from_stride;
    float* to = call.to + head * call.to_stride;
    int64_t i = 0;
    for (; i + 16 <= call.pairs; i += 16) {
      const Floats a = load(from + i);
      const Floats b = load(from + call.pairs + i);
      store(to + i, a * load(call.cosine + i) - b * load(call.sine + i));
      store(to + call.pairs + i, b * load(call.cosine + i) + a * load(call.sine + i));
    }
    const int64_t rest = call.pairs - i;
    if (rest == 0) continue;
    const Floats a = load(from + i, rest);
    const Floats b = load(from + call.pairs + i, rest);
    const Floats cosine = load(call.cosine + i, rest);
    const Floats sine = load(call.sine + i, rest);
    store(to + i, a * cosine - b * sine, rest);
    store(to + call.pairs + i, b * cosine + a * sine, rest);
  }
}

}  // namespace
}  // namespace martlet::ops::cpu
