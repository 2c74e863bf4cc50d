#pragma once

// Loops with a fixed number of turns, unrolled before anything else is optimised: arrays of vectors indexed
// in them stay in registers.

namespace martlet::ops::cpu {
namespace {

template <int kIndex>
struct Index {
  static constexpr int value = kIndex;
};
/// of(Index<0>()), ..., of(Index<kCount - 1>()).
template <int kCount, int kIndex = 0, typename Of>
[[gnu::always_inline]] inline void unrolled(Of of) {
  if constexpr (kIndex < kCount) {
    of(Index<kIndex>());
    unrolled<kCount, kIndex + 1>(of);
  }
}

}  // namespace
}  // namespace martlet::ops::cpu
