#pragma once

// What kernels over blocks of registers need beside floats_avx512.h, which is to be included first.

namespace martlet::ops::cpu {
namespace {

/// Sums of sixteen that a block may hold in registers: 24 of 32, beside four of one operand and one of the
/// other.
inline constexpr int kBlockSums = 24;

/// The first `bytes` (at most 64) as they are, zeros behind.
inline Floats load_bytes(const void* from, int64_t bytes) {
  const __mmask64 wanted = bytes >= 64 ? ~__mmask64{0} : (__mmask64{1} << bytes) - 1;
  return {_mm512_castsi512_ps(_mm512_maskz_loadu_epi8(wanted, from))};
}
/// Sixteen signed bytes.
inline Ints load_signed_bytes(const void* from) {
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(from)))};
}
/// binary16 in the lower halves.
inline Floats widen_f16(Ints a) {
  return {_mm512_cvtph_ps(_mm512_cvtepi32_epi16(a.v))};
}

inline float largest_lane(Floats a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/// Row i of the result holds lane i of every row. Pairs of rows are interleaved, then pairs of pairs, then
/// quarters of registers change places.
inline void transpose(Floats (&rows)[16]) {
  __m512 pairs[16];
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_ps(rows[i].v, rows[i + 1].v);
    pairs[i + 1] = _mm512_unpackhi_ps(rows[i].v, rows[i + 1].v);
  }
  __m512 quads[16];  // quads[4 g + j]: lanes j, 4 + j, 8 + j, 12 + j of rows 4 g .. 4 g + 3
  for (int g = 0; g < 16; g += 4)
    for (int j = 0; j < 2; ++j) {
      const __m512d low = _mm512_castps_pd(pairs[g + j]);
      const __m512d high = _mm512_castps_pd(pairs[g + j + 2]);
      quads[g + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      quads[g + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
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
}  // namespace martlet::ops::cpu
