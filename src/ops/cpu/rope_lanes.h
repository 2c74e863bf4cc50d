#pragma once

// The rotation over 16 lanes. Include one of float_lanes_*.h first.

#include "ops/cpu/rope_rows.h"

namespace martlet::ops {
namespace {

/// Products and sums are rounded one by one (no fused multiply-add), as frameworks do that run them as
/// separate operations.
template <typename T>
void rotate_head(const T* from, T* to, const float* cosine, const float* sine, int64_t pairs) {
  for (int64_t i = 0; i < pairs; i += kLanes) {
    const int64_t count = pairs - i < kLanes ? pairs - i : kLanes;
    const Lanes a = load(from + i, count);
    const Lanes b = load(from + pairs + i, count);
    const Lanes c = load(cosine + i, count);
    const Lanes s = load(sine + i, count);
    store(to + i, a * c - b * s, count);
    store(to + pairs + i, b * c + a * s, count);
  }
}

template <typename T>
void rotate_rows(const cpu::RopeRows& rows) {
  const T* from = static_cast<const T*>(rows.from);
  T* to = static_cast<T*>(rows.to);
  for (int64_t token = rows.token_begin; token < rows.token_end; ++token)
    for (int64_t head = 0; head < rows.heads; ++head)
      rotate_head(from + token * rows.from_token_stride + head * rows.from_head_stride,
                  to + token * rows.to_token_stride + head * rows.to_head_stride,
                  rows.cosine + token * rows.pairs, rows.sine + token * rows.pairs, rows.pairs);
}

void rotate(const cpu::RopeRows& rows) {
  if (rows.dtype == DType::kBF16) {
    rotate_rows<BF16>(rows);
  } else {
    rotate_rows<float>(rows);
  }
}

}  // namespace
}  // namespace martlet::ops
