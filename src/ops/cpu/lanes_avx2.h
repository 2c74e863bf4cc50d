#pragma once

// Sixteen f32 lanes in two AVX2 registers: the interface of lanes_avx512.h, with the same bits.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <immintrin.h>
#include <string_view>

#include "ops/cpu/unrolled.h"
#include "tensor/dtype.h"

namespace martlet::ops::cpu {
namespace {

struct Lanes {
  __m256 low, high;
};
struct Codes {
  __m256i low, high;
};
using Mask = Codes;  // all bits of a lane, or none

constexpr std::string_view kLanesName = "AVX2";
// Of 16 registers: 3 x 2 sums take 12, an x row 2, a weight row comes from memory.
constexpr int kTileRows = 3;
constexpr int kTileColumns = 2;
// Tiles of `matmul`: 6 x 1 sums take 12 registers, the columns 2, a row's word 1.
constexpr int kMatmulRows = 6;
constexpr int kPanelVectors = 1;
constexpr int kFewSums = 4;

inline Lanes zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
inline Lanes all(float value) {
  return {_mm256_set1_ps(value), _mm256_set1_ps(value)};
}
inline Lanes load(const float* from) {
  return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
inline void store(float* to, Lanes a) {
  _mm256_storeu_ps(to, a.low);
  _mm256_storeu_ps(to + 8, a.high);
}
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline Lanes multiply_subtract(Lanes a, Lanes b, Lanes c) {
  return {_mm256_fmsub_ps(a.low, b.low, c.low), _mm256_fmsub_ps(a.high, b.high, c.high)};
}
inline Lanes multiply(Lanes a, Lanes b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline float sum(Lanes a) {
  const __m256 eight = _mm256_add_ps(a.low, a.high);
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

inline Lanes add(Lanes a, Lanes b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
/// The bf16 bits of eight values, as `to_bf16` rounds.
inline __m256i bf16_bits(__m256 a) {
  const __m256i bits = _mm256_castps_si256(a);
  const __m256i upper = _mm256_srli_epi32(bits, 16);
  const __m256i even = _mm256_and_si256(upper, _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(even, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
  return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q)));
}
inline void store_bf16(BF16* to, Lanes a) {
  const __m256i mixed = _mm256_packus_epi32(bf16_bits(a.low), bf16_bits(a.high));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute4x64_epi64(mixed, 0xd8));
}
inline Lanes load_first(const float* from, int64_t count) {
  alignas(32) float values[16] = {};
  std::memcpy(values, from, static_cast<size_t>(count) * sizeof(float));
  return load(values);
}
inline __m256 widened_bf16(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline void store_first(float* to, Lanes a, int64_t count) {
  float values[16];
  store(values, a);
  std::memcpy(to, values, static_cast<size_t>(count) * sizeof(float));
}
inline Lanes load_bf16(const void* from) {
  const __m128i* bits = static_cast<const __m128i*>(from);
  return {widened_bf16(_mm_loadu_si128(bits)), widened_bf16(_mm_loadu_si128(bits + 1))};
}
inline Lanes load_first_bf16(const void* from, int64_t count) {
  alignas(32) uint16_t values[16] = {};
  std::memcpy(values, from, static_cast<size_t>(count) * sizeof(uint16_t));
  return load_bf16(values);
}
inline Lanes load_f16(const void* from) {
  const __m128i* bits = static_cast<const __m128i*>(from);
  return {_mm256_cvtph_ps(_mm_loadu_si128(bits)), _mm256_cvtph_ps(_mm_loadu_si128(bits + 1))};
}
inline Lanes load_first_f16(const void* from, int64_t count) {
  alignas(32) uint16_t values[16] = {};
  std::memcpy(values, from, static_cast<size_t>(count) * sizeof(uint16_t));
  return load_f16(values);
}
inline Lanes all_f16(const std::byte* from) {
  short bits;
  std::memcpy(&bits, from, sizeof(bits));
  const __m256 value = _mm256_cvtph_ps(_mm_set1_epi16(bits));
  return {value, value};
}
inline Lanes join_halves(Lanes low, Lanes high) {
  return {low.low, high.high};
}

inline Codes load_codes(const std::byte* from) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(bytes, bytes))};
}
inline Codes load_signed_codes(const std::byte* from) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(bytes, bytes))};
}
template <int kBits>
Codes shift_right(Codes a) {
  return {_mm256_srli_epi32(a.low, kBits), _mm256_srli_epi32(a.high, kBits)};
}
template <int kBits>
Codes shift_left(Codes a) {
  return {_mm256_slli_epi32(a.low, kBits), _mm256_slli_epi32(a.high, kBits)};
}
inline Codes bit_and(Codes a, int mask) {
  return {_mm256_and_si256(a.low, _mm256_set1_epi32(mask)),
          _mm256_and_si256(a.high, _mm256_set1_epi32(mask))};
}
inline Codes bit_or(Codes a, Codes b) {
  return {_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
}
inline Codes subtract(Codes a, int b) {
  return {_mm256_sub_epi32(a.low, _mm256_set1_epi32(b)), _mm256_sub_epi32(a.high, _mm256_set1_epi32(b))};
}
inline Lanes to_lanes(Codes a) {
  return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)};
}
inline __m256 lookup_eight(Lanes table, __m256i codes) {
  const __m256 below_eight = _mm256_permutevar8x32_ps(table.low, codes);
  const __m256 from_eight = _mm256_permutevar8x32_ps(table.high, codes);
  return _mm256_blendv_ps(below_eight, from_eight, _mm256_castsi256_ps(_mm256_slli_epi32(codes, 28)));
}
inline Lanes lookup(Lanes table, Codes codes) {
  return {lookup_eight(table, codes.low), lookup_eight(table, codes.high)};
}
inline Lanes lookup(Lanes clear, Lanes set, Mask mask, Codes codes) {
  const Lanes a = lookup(clear, codes);
  const Lanes b = lookup(set, codes);
  return {_mm256_blendv_ps(a.low, b.low, _mm256_castsi256_ps(mask.low)),
          _mm256_blendv_ps(a.high, b.high, _mm256_castsi256_ps(mask.high))};
}
inline Mask mask_of(uint32_t bits) {
  const __m256i every = _mm256_set1_epi32(static_cast<int>(bits));
  const __m256i low = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i high = _mm256_slli_epi32(low, 8);
  return {_mm256_cmpeq_epi32(_mm256_and_si256(every, low), low),
          _mm256_cmpeq_epi32(_mm256_and_si256(every, high), high)};
}
template <int kBit>
Mask test_bit(Codes codes) {
  return shift_left<31 - kBit>(codes);  // the sign bit is all that a blend looks at
}

}  // namespace
}  // namespace martlet::ops::cpu
