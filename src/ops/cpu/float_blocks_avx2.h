#pragma once

// What kernels over blocks of registers need beside floats_avx2.h, which is to be included first.

#include <cstring>

namespace martlet::ops::cpu {
namespace {

/// Sums of sixteen that a block may hold in registers: 6, that is 12 of 16 registers.
inline constexpr int kBlockSums = 6;

/// The first `bytes` (at most 64) as they are, zeros behind.
inline Floats load_bytes(const void* from, int64_t bytes) {
  alignas(32) float values[16] = {};
  std::memcpy(values, from, static_cast<size_t>(bytes));
  return load(values);
}
/// Sixteen signed bytes.
inline Ints load_signed_bytes(const void* from) {
  const __m128i bytes = _mm_loadu_si128(static_cast<const __m128i*>(from));
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
}
/// binary16 in the lower halves.
inline Floats widen_f16(Ints a) {
  const __m256i mask = _mm256_set1_epi32(0xffff);
  const __m256i packed = _mm256_packus_epi32(_mm256_and_si256(a.low, mask), _mm256_and_si256(a.high, mask));
  const __m256i halves = _mm256_permute4x64_epi64(packed, 0xd8);
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(halves)),
          _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1))};
}

inline float largest_lane(Floats a) {
  const __m256 eight = _mm256_max_ps(a.low, a.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

inline void transpose_eight(__m256 (&rows)[8]) {
  __m256 quads[8];  // quads[4 g + j]: lanes j and 4 + j of rows 4 g .. 4 g + 3
  for (int g = 0; g < 8; g += 4) {
    const __m256 a = _mm256_unpacklo_ps(rows[g], rows[g + 1]);
    const __m256 b = _mm256_unpackhi_ps(rows[g], rows[g + 1]);
    const __m256 c = _mm256_unpacklo_ps(rows[g + 2], rows[g + 3]);
    const __m256 d = _mm256_unpackhi_ps(rows[g + 2], rows[g + 3]);
    quads[g] = _mm256_shuffle_ps(a, c, 0x44);
    quads[g + 1] = _mm256_shuffle_ps(a, c, 0xee);
    quads[g + 2] = _mm256_shuffle_ps(b, d, 0x44);
    quads[g + 3] = _mm256_shuffle_ps(b, d, 0xee);
  }
  for (int j = 0; j < 4; ++j) {
    rows[j] = _mm256_permute2f128_ps(quads[j], quads[4 + j], 0x20);
    rows[4 + j] = _mm256_permute2f128_ps(quads[j], quads[4 + j], 0x31);
  }
}

/// Row i of the result holds lane i of every row: quarters are transposed, and two of them change places.
inline void transpose(Floats (&rows)[16]) {
  __m256 quarters[2][2][8];
  for (int i = 0; i < 16; ++i) {
    quarters[i / 8][0][i % 8] = rows[i].low;
    quarters[i / 8][1][i % 8] = rows[i].high;
  }
  for (auto& half : quarters)
    for (auto& quarter : half) transpose_eight(quarter);
  for (int i = 0; i < 16; ++i) rows[i] = {quarters[0][i / 8][i % 8], quarters[1][i / 8][i % 8]};
}

}  // namespace
}  // namespace martlet::ops::cpu
