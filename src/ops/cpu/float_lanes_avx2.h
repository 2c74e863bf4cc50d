#pragma once

// Sixteen f32 lanes in two 256-bit registers: the names of float_lanes_avx512.h, with results of the same
// bits.

#include <cstdint>
#include <cstring>
#include <immintrin.h>

#include "tensor/dtype.h"

namespace martlet::ops {
namespace {

struct Lanes {
  __m256 a, b;
};

inline constexpr int64_t kLanes = 16;
/// Accumulators of 16 lanes that a register block may hold: 6, that is 12 of the 16 registers.
inline constexpr int kBlockLanes = 6;

inline Lanes zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
inline Lanes broadcast(float value) {
  return {_mm256_set1_ps(value), _mm256_set1_ps(value)};
}
inline Lanes operator+(Lanes x, Lanes y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
inline Lanes operator-(Lanes x, Lanes y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
inline Lanes operator*(Lanes x, Lanes y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
inline Lanes operator/(Lanes x, Lanes y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
inline Lanes multiply_add(Lanes x, Lanes y, Lanes z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline Lanes larger(Lanes x, Lanes y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
inline Lanes nearest_integer(Lanes x) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(x.a, kNearest), _mm256_round_ps(x.b, kNearest)};
}
inline __m256 power_of_two(__m256 n) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
inline Lanes power_of_two(Lanes n) {
  return {power_of_two(n.a), power_of_two(n.b)};
}
inline Lanes select_less(Lanes p, Lanes q, Lanes x, Lanes y) {
  return {_mm256_blendv_ps(y.a, x.a, _mm256_cmp_ps(p.a, q.a, _CMP_LT_OQ)),
          _mm256_blendv_ps(y.b, x.b, _mm256_cmp_ps(p.b, q.b, _CMP_LT_OQ))};
}
inline __m256i lanes_in_range(int first_lane, int64_t begin, int64_t end) {
  const __m256i lane =
      _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(first_lane));
  const __m256i from = _mm256_set1_epi32(static_cast<int>(begin < 0 ? 0 : begin > kLanes ? kLanes : begin));
  const __m256i to = _mm256_set1_epi32(static_cast<int>(end < 0 ? 0 : end > kLanes ? kLanes : end));
  return _mm256_andnot_si256(_mm256_cmpgt_epi32(from, lane), _mm256_cmpgt_epi32(to, lane));
}
inline Lanes select_range(int64_t begin, int64_t end, Lanes x, Lanes y) {
  return {_mm256_blendv_ps(y.a, x.a, _mm256_castsi256_ps(lanes_in_range(0, begin, end))),
          _mm256_blendv_ps(y.b, x.b, _mm256_castsi256_ps(lanes_in_range(8, begin, end)))};
}
inline Lanes magnitude(Lanes x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
inline Lanes with_sign(Lanes x, Lanes y) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(sign, x.a), _mm256_and_ps(sign, y.a)),
          _mm256_or_ps(_mm256_andnot_ps(sign, x.b), _mm256_and_ps(sign, y.b))};
}

inline Lanes load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
inline void store(float* p, Lanes x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
inline Lanes load(const float* p, int64_t count) {
  Lanes result{_mm256_maskload_ps(p, lanes_in_range(0, 0, count)), _mm256_setzero_ps()};
  if (count > 8) result.b = _mm256_maskload_ps(p + 8, lanes_in_range(8, 0, count));
  return result;
}
inline void store(float* p, Lanes x, int64_t count) {
  _mm256_maskstore_ps(p, lanes_in_range(0, 0, count), x.a);
  if (count > 8) _mm256_maskstore_ps(p + 8, lanes_in_range(8, 0, count), x.b);
}

inline __m256 widen_bf16(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline Lanes load(const BF16* p) {
  const __m128i* bits = reinterpret_cast<const __m128i*>(p);
  return {widen_bf16(_mm_loadu_si128(bits)), widen_bf16(_mm_loadu_si128(bits + 1))};
}
inline Lanes load(const F16* p) {
  const __m128i* bits = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(bits)), _mm256_cvtph_ps(_mm_loadu_si128(bits + 1))};
}
/// There are no masked loads of 16 bits: the elements go through a buffer.
inline Lanes load(const BF16* p, int64_t count) {
  BF16 buffer[kLanes] = {};
  std::memcpy(buffer, p, static_cast<size_t>(count) * sizeof(BF16));
  return load(buffer);
}
inline Lanes load(const F16* p, int64_t count) {
  F16 buffer[kLanes] = {};
  std::memcpy(buffer, p, static_cast<size_t>(count) * sizeof(F16));
  return load(buffer);
}

inline __m256i narrow_bf16(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  return _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
}
inline void store(BF16* p, Lanes x) {
  const __m256i packed = _mm256_packus_epi32(narrow_bf16(x.a), narrow_bf16(x.b));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}
inline void store(BF16* p, Lanes x, int64_t count) {
  BF16 buffer[kLanes];
  store(buffer, x);
  std::memcpy(p, buffer, static_cast<size_t>(count) * sizeof(BF16));
}

inline float sum_of_lanes(Lanes x) {
  const __m256 eight = _mm256_add_ps(x.a, x.b);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
inline float largest_lane(Lanes x) {
  const __m256 eight = _mm256_max_ps(x.a, x.b);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

inline void transpose(__m256 (&r)[8]) {
  __m256 quads[8];  // quads[4 g + j]: lanes j and 4 + j of rows 4 g .. 4 g + 3
  for (int g = 0; g < 2; ++g) {
    const __m256 a = _mm256_unpacklo_ps(r[4 * g], r[4 * g + 1]);
    const __m256 b = _mm256_unpackhi_ps(r[4 * g], r[4 * g + 1]);
    const __m256 c = _mm256_unpacklo_ps(r[4 * g + 2], r[4 * g + 3]);
    const __m256 d = _mm256_unpackhi_ps(r[4 * g + 2], r[4 * g + 3]);
    quads[4 * g] = _mm256_shuffle_ps(a, c, 0x44);
    quads[4 * g + 1] = _mm256_shuffle_ps(a, c, 0xee);
    quads[4 * g + 2] = _mm256_shuffle_ps(b, d, 0x44);
    quads[4 * g + 3] = _mm256_shuffle_ps(b, d, 0xee);
  }
  for (int j = 0; j < 4; ++j) {
    r[j] = _mm256_permute2f128_ps(quads[j], quads[4 + j], 0x20);
    r[4 + j] = _mm256_permute2f128_ps(quads[j], quads[4 + j], 0x31);
  }
}
inline void transpose(Lanes (&rows)[16]) {
  __m256 quarters[2][2][8];
  for (int i = 0; i < 16; ++i) {
    quarters[i / 8][0][i % 8] = rows[i].a;
    quarters[i / 8][1][i % 8] = rows[i].b;
  }
  for (auto& half : quarters)
    for (auto& quarter : half) transpose(quarter);
  for (int i = 0; i < 16; ++i) rows[i] = {quarters[0][i / 8][i % 8], quarters[1][i / 8][i % 8]};
}

}  // namespace
}  // namespace martlet::ops
