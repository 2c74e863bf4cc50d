#pragma once

// lanes_avx512.h, and thirty-two bf16 elements whose products are added in pairs to sixteen f32 lanes.

#include "ops/cpu/lanes_avx512.h"
#include "tensor/dtype.h"

namespace martlet::ops::cpu {
namespace {

using Pairs = __m512bh;

inline Pairs load(const BF16* from) {
  return reinterpret_cast<Pairs>(_mm512_loadu_si512(from));
}
/// One pair in every lane.
inline Pairs all_pairs(const void* from) {
  int pair;
  std::memcpy(&pair, from, sizeof(pair));
  return reinterpret_cast<Pairs>(_mm512_set1_epi32(pair));
}
/// The first `count` elements, zeros behind.
inline Pairs load_first_pairs(const void* from, int64_t count) {
  return reinterpret_cast<Pairs>(_mm512_maskz_loadu_epi16((1u << count) - 1, from));
}
inline void store(BF16* to, Pairs a) {
  _mm512_storeu_si512(to, reinterpret_cast<__m512i>(a));
}
inline Lanes multiply_add(Pairs a, Pairs b, Lanes c) {
  return _mm512_dpbf16_ps(c, a, b);
}

}  // namespace
}  // namespace martlet::ops::cpu
