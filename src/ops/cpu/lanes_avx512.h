#pragma once

// Sixteen f32 lanes in one AVX-512 register. The three `lanes_*.h` have the same interface, and AVX-512 and
// AVX2 give the same bits. Only for files compiled with these instructions; everything is local to the file.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <immintrin.h>
#include <string_view>

#include "ops/cpu/unrolled.h"
#include "tensor/dtype.h"

namespace martlet::ops::cpu {
namespace {

using Lanes = __m512;
using Codes = __m512i;  // sixteen 32-bit integers
using Mask = __mmask16;

constexpr std::string_view kLanesName = "AVX-512";
// Register tiles: 4 x 4 sums, 4 x rows and one weight row in hand leave 11 of 32 registers free.
constexpr int kTileRows = 4;
constexpr int kTileColumns = 4;
// Tiles of `matmul`: 12 x 2 sums, 2 vectors of columns and a row's word in hand leave 5 registers free.
constexpr int kMatmulRows = 12;
constexpr int kPanelVectors = 2;
// Sums that a stored weight's rows and x rows may have at once.
constexpr int kFewSums = 16;

inline Lanes zero() {
  return _mm512_setzero_ps();
}
inline Lanes all(float value) {
  return _mm512_set1_ps(value);
}
inline Lanes load(const float* from) {
  return _mm512_loadu_ps(from);
}
inline void store(float* to, Lanes a) {
  _mm512_storeu_ps(to, a);
}
/// a * b + c, rounded once.
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) {
  return _mm512_fmadd_ps(a, b, c);
}
/// a * b - c, rounded once.
inline Lanes multiply_subtract(Lanes a, Lanes b, Lanes c) {
  return _mm512_fmsub_ps(a, b, c);
}
inline Lanes multiply(Lanes a, Lanes b) {
  return _mm512_mul_ps(a, b);
}
inline float sum(Lanes a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
/// Sums of a tile [columns][rows] to out[row * stride + column], or added to what is there.
template <int kColumns, int kRows>
[[gnu::always_inline]] inline void store_sums(const Lanes (&sums)[kColumns][kRows], bool add, float* out,
                                              int64_t stride) {
  unrolled<kColumns>([&](auto n) {
    unrolled<kRows>([&](auto m) {
      float& at = out[m.value * stride + n.value];
      const float total = sum(sums[n.value][m.value]);
      at = add ? at + total : total;
    });
  });
}

// The steps of `sum` for two registers at once: the results of a and of b side by side in one.
inline Lanes halve_16(Lanes a, Lanes b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}
inline Lanes halve_8(Lanes a, Lanes b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}
inline Lanes halve_4(Lanes a, Lanes b) {
  return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
}
inline Lanes halve_2(Lanes a, Lanes b) {
  return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
}

/// A whole tile at once, in 45 operations: sixteen registers are folded in pairs into one, whose four
/// quarters are the tile's rows.
[[gnu::always_inline]] inline void store_sums(const Lanes (&sums)[4][4], bool add, float* out,
                                              int64_t stride) {
  Lanes columns[4];
  unrolled<4>([&](auto n) {
    const Lanes(&four)[4] = sums[n.value];
    columns[n.value] = halve_8(halve_16(four[0], four[1]), halve_16(four[2], four[3]));
  });
  const Lanes tile = halve_2(halve_4(columns[0], columns[1]), halve_4(columns[2], columns[3]));
  unrolled<4>([&](auto m) {
    const __m128 row = _mm512_extractf32x4_ps(tile, m.value);
    float* at = out + m.value * stride;
    _mm_storeu_ps(at, add ? _mm_add_ps(_mm_loadu_ps(at), row) : row);
  });
}

inline Mask first(int64_t count) {
  return static_cast<Mask>((1u << count) - 1);
}
inline Lanes add(Lanes a, Lanes b) {
  return _mm512_add_ps(a, b);
}
/// As `to_bf16` rounds. (The processor's own conversion takes subnormal numbers as zero.)
inline void store_bf16(BF16* to, Lanes a) {
  const Codes bits = _mm512_castps_si512(a);
  const Codes upper = _mm512_srli_epi32(bits, 16);
  const Codes even = _mm512_and_si512(upper, _mm512_set1_epi32(1));
  const Codes rounded =
      _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(even, _mm512_set1_epi32(0x7fff))), 16);
  const Mask nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
  const Codes result = _mm512_mask_or_epi32(rounded, nan, upper, _mm512_set1_epi32(0x40));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(result));
}
/// The first `count` elements, zeros behind.
inline Lanes load_first(const float* from, int64_t count) {
  return _mm512_maskz_loadu_ps(first(count), from);
}
inline void store_first(float* to, Lanes a, int64_t count) {
  _mm512_mask_storeu_ps(to, first(count), a);
}
inline Lanes from_bf16(__m256i bits) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
inline Lanes load_bf16(const void* from) {
  return from_bf16(_mm256_loadu_si256(static_cast<const __m256i*>(from)));
}
inline Lanes load_first_bf16(const void* from, int64_t count) {
  return from_bf16(_mm256_maskz_loadu_epi16(first(count), from));
}
inline Lanes load_f16(const void* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(from)));
}
inline Lanes load_first_f16(const void* from, int64_t count) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(count), from));
}
/// One binary16 in every lane.
inline Lanes all_f16(const std::byte* from) {
  short bits;
  std::memcpy(&bits, from, sizeof(bits));
  return _mm512_cvtph_ps(_mm256_set1_epi16(bits));
}
/// Lanes 0-7 of `low`, 8-15 of `high`.
inline Lanes join_halves(Lanes low, Lanes high) {
  return _mm512_mask_blend_ps(0xff00, low, high);
}

/// Sixteen bytes, each in a lane.
inline Codes load_codes(const std::byte* from) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline Codes load_signed_codes(const std::byte* from) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
template <int kBits>
Codes shift_right(Codes a) {
  return _mm512_srli_epi32(a, kBits);
}
template <int kBits>
Codes shift_left(Codes a) {
  return _mm512_slli_epi32(a, kBits);
}
inline Codes bit_and(Codes a, int mask) {
  return _mm512_and_si512(a, _mm512_set1_epi32(mask));
}
inline Codes bit_or(Codes a, Codes b) {
  return _mm512_or_si512(a, b);
}
inline Codes subtract(Codes a, int b) {
  return _mm512_sub_epi32(a, _mm512_set1_epi32(b));
}
inline Lanes to_lanes(Codes a) {
  return _mm512_cvtepi32_ps(a);
}
/// table[low four bits of the code].
inline Lanes lookup(Lanes table, Codes codes) {
  return _mm512_permutexvar_ps(codes, table);
}
/// The same from `set` where the mask is set.
inline Lanes lookup(Lanes clear, Lanes set, Mask mask, Codes codes) {
  return _mm512_mask_permutexvar_ps(lookup(clear, codes), mask, codes, set);
}
inline Mask mask_of(uint32_t bits) {
  return static_cast<Mask>(bits);
}
/// Where the code has that bit.
template <int kBit>
Mask test_bit(Codes codes) {
  return _mm512_test_epi32_mask(codes, _mm512_set1_epi32(1 << kBit));
}

}  // namespace
}  // namespace martlet::ops::cpu
