#pragma once

// Sixteen f32 lanes in one 512-bit register, for kernels written once for several instruction sets: a
// kernel's source includes this file or float_lanes_avx2.h, which declares the same names. All is in an
// unnamed namespace, so that no code of this instruction set can be shared with files compiled for a lesser
// one.

#include <cstdint>
#include <immintrin.h>

#include "tensor/dtype.h"

namespace martlet::ops {
namespace {

struct Lanes {
  __m512 v;
};

inline constexpr int64_t kLanes = 16;
/// Accumulators of 16 lanes that a register block may hold: 24, and 4 rows of the other operand, of 32.
inline constexpr int kBlockLanes = 24;

inline Lanes zero() {
  return {_mm512_setzero_ps()};
}
inline Lanes broadcast(float value) {
  return {_mm512_set1_ps(value)};
}
inline Lanes operator+(Lanes a, Lanes b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline Lanes operator-(Lanes a, Lanes b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline Lanes operator*(Lanes a, Lanes b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline Lanes operator/(Lanes a, Lanes b) {
  return {_mm512_div_ps(a.v, b.v)};
}
/// a * b + c, rounded once.
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline Lanes larger(Lanes a, Lanes b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline Lanes nearest_integer(Lanes a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
/// 2^n of whole n in [-126, 127].
inline Lanes power_of_two(Lanes n) {
  const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(biased, 23))};
}
/// Where a < b: x, else y.
inline Lanes select_less(Lanes a, Lanes b, Lanes x, Lanes y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}
/// x in lanes [begin, end), y in the others.
inline Lanes select_range(int64_t begin, int64_t end, Lanes x, Lanes y) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i from = _mm512_set1_epi32(static_cast<int>(begin < 0 ? 0 : begin > kLanes ? kLanes : begin));
  const __m512i to = _mm512_set1_epi32(static_cast<int>(end < 0 ? 0 : end > kLanes ? kLanes : end));
  const __mmask16 inside = _mm512_cmpge_epi32_mask(lane, from) & _mm512_cmplt_epi32_mask(lane, to);
  return {_mm512_mask_blend_ps(inside, y.v, x.v)};
}
inline Lanes magnitude(Lanes a) {
  return {_mm512_abs_ps(a.v)};
}
/// The magnitude of a with the sign of b.
inline Lanes with_sign(Lanes a, Lanes b) {
  const __m512 sign = _mm512_set1_ps(-0.0f);
  return {_mm512_or_ps(_mm512_andnot_ps(sign, a.v), _mm512_and_ps(sign, b.v))};
}

inline __mmask16 first_lanes(int64_t count) {
  return static_cast<__mmask16>((1u << count) - 1);
}
inline Lanes load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
inline void store(float* p, Lanes a) {
  _mm512_storeu_ps(p, a.v);
}
/// Elements [0, count) in the first lanes, zeros behind; count <= 16.
inline Lanes load(const float* p, int64_t count) {
  return {_mm512_maskz_loadu_ps(first_lanes(count), p)};
}
inline void store(float* p, Lanes a, int64_t count) {
  _mm512_mask_storeu_ps(p, first_lanes(count), a.v);
}

inline Lanes widen_bf16(__m256i bits) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
inline Lanes load(const BF16* p) {
  return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Lanes load(const BF16* p, int64_t count) {
  return widen_bf16(_mm256_maskz_loadu_epi16(first_lanes(count), p));
}
inline Lanes load(const F16* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline Lanes load(const F16* p, int64_t count) {
  return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(count), p))};
}

/// To nearest, ties to even; a NaN stays a quiet NaN.
inline __m256i narrow_bf16(Lanes a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_blend_epi32(nan, rounded, quiet), 16));
}
inline void store(BF16* p, Lanes a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow_bf16(a));
}
inline void store(BF16* p, Lanes a, int64_t count) {
  _mm256_mask_storeu_epi16(p, first_lanes(count), narrow_bf16(a));
}

/// Lanes halved until one is left: 0 with 8, then 0 with 4, 0 with 2, 0 with 1; float_lanes_avx2.h adds
/// alike.
inline float sum_of_lanes(Lanes a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
inline float largest_lane(Lanes a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

/// Row i of the result holds lane i of every row.
inline void transpose(Lanes (&rows)[16]) {
  __m512 pairs[16];
  for (int i = 0; i < 8; ++i) {
    pairs[2 * i] = _mm512_unpacklo_ps(rows[2 * i].v, rows[2 * i + 1].v);
    pairs[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i].v, rows[2 * i + 1].v);
  }
  __m512 quads[16];  // quads[4 g + j]: lanes 4 k + j of rows 4 g .. 4 g + 3, for each quarter k
  for (int g = 0; g < 4; ++g)
    for (int j = 0; j < 2; ++j) {
      const __m512d low = _mm512_castps_pd(pairs[4 * g + j]);
      const __m512d high = _mm512_castps_pd(pairs[4 * g + j + 2]);
      quads[4 * g + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      quads[4 * g + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
  for (int j = 0; j < 4; ++j) {
    const __m512 low_even = _mm512_shuffle_f32x4(quads[j], quads[4 + j], 0x88);
    const __m512 low_odd = _mm512_shuffle_f32x4(quads[j], quads[4 + j], 0xdd);
    const __m512 high_even = _mm512_shuffle_f32x4(quads[8 + j], quads[12 + j], 0x88);
    const __m512 high_odd = _mm512_shuffle_f32x4(quads[8 + j], quads[12 + j], 0xdd);
    rows[j].v = _mm512_shuffle_f32x4(low_even, high_even, 0x88);
    rows[4 + j].v = _mm512_shuffle_f32x4(low_odd, high_odd, 0x88);
    rows[8 + j].v = _mm512_shuffle_f32x4(low_even, high_even, 0xdd);
    rows[12 + j].v = _mm512_shuffle_f32x4(low_odd, high_odd, 0xdd);
  }
}

}  // namespace
}  // namespace martlet::ops
