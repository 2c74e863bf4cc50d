#pragma once

// Sixteen lanes of int32 and f32, and of four bytes each, in pairs of AVX2 registers: the interface of
// int8_lanes_avx512vnni.h, with the same bits.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <immintrin.h>
#include <string_view>

#include "ops/cpu/unrolled.h"

namespace martlet::ops::cpu {
namespace {

struct Ints {
  __m256i low, high;
};
using Bytes = Ints;
struct Lanes {
  __m256 low, high;
};

constexpr std::string_view kInt8Name = "AVX2";
// Sixteen registers hold the integer sums of four columns; their float sums stay in the L1 cache.
constexpr int kMostColumns = 4;
constexpr int kMostSubScaleColumns = 4;
// A sum waits for an addition only.
constexpr int kLeastChains = 1;
constexpr bool kMultipliesAnyByte = false;  // sums of two products have 16 bits on the way

template <typename Of>
[[gnu::always_inline]] inline Ints both(Ints a, Ints b, Of of) {
  return {of(a.low, b.low), of(a.high, b.high)};
}
template <typename Of>
[[gnu::always_inline]] inline Ints both(Ints a, Of of) {
  return {of(a.low), of(a.high)};
}

inline Ints load_ints(const void* from) {
  const __m256i* halves = static_cast<const __m256i*>(from);
  return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
}
inline void store_ints(void* to, Ints a) {
  __m256i* halves = static_cast<__m256i*>(to);
  _mm256_storeu_si256(halves, a.low);
  _mm256_storeu_si256(halves + 1, a.high);
}
inline Bytes load_bytes(const void* from) {
  return load_ints(from);
}
inline void store_bytes(void* to, Bytes a) {
  store_ints(to, a);
}
template <int kFrom, int kTo>
__m256i shifted(__m256i a) {
  if constexpr (kFrom > kTo) return _mm256_srli_epi16(a, kFrom - kTo);
  if constexpr (kFrom < kTo) return _mm256_slli_epi16(a, kTo - kFrom);
  return a;
}
template <int kFrom, int kBits>
Bytes bits_of(Bytes a) {
  return both(a, [](__m256i x) {
    return _mm256_and_si256(shifted<kFrom, 0>(x), _mm256_set1_epi8(static_cast<char>((1 << kBits) - 1)));
  });
}
template <int kFrom, int kBits, int kTo>
Bytes with_bits_of(Bytes a, Bytes plane) {
  return both(a, plane, [](__m256i x, __m256i bits) {
    const __m256i mask = _mm256_set1_epi8(static_cast<char>(((1 << kBits) - 1) << kTo));
    return _mm256_or_si256(x, _mm256_and_si256(shifted<kFrom, kTo>(bits), mask));
  });
}
inline Bytes high_nibbles_in_place(Bytes a) {
  return both(a, [](__m256i x) { return _mm256_and_si256(x, _mm256_set1_epi8(static_cast<char>(0xf0))); });
}
inline Bytes lookup(const uint8_t* table, Bytes a) {
  const __m256i all = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return both(a, [&](__m256i x) { return _mm256_shuffle_epi8(all, x); });
}

inline Ints no_ints() {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
inline Ints all_ints(int32_t value) {
  return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)};
}
inline Ints load_signed_bytes(const std::byte* from) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(bytes, bytes))};
}
inline Ints add(Ints a, Ints b) {
  return both(a, b, [](__m256i x, __m256i y) { return _mm256_add_epi32(x, y); });
}
inline Ints subtract(Ints a, Ints b) {
  return both(a, b, [](__m256i x, __m256i y) { return _mm256_sub_epi32(x, y); });
}
inline Ints bit_or(Ints a, Ints b) {
  return both(a, b, [](__m256i x, __m256i y) { return _mm256_or_si256(x, y); });
}
inline Ints bit_and(Ints a, int32_t mask) {
  return both(a, [&](__m256i x) { return _mm256_and_si256(x, _mm256_set1_epi32(mask)); });
}
template <int kBits>
Ints shift_right(Ints a) {
  return both(a, [](__m256i x) { return _mm256_srli_epi32(x, kBits); });
}
template <int kBits>
Ints signed_shift_right(Ints a) {
  return both(a, [](__m256i x) { return _mm256_srai_epi32(x, kBits); });
}
template <int kBits>
Ints shift_left(Ints a) {
  return both(a, [](__m256i x) { return _mm256_slli_epi32(x, kBits); });
}
inline Ints max(Ints a, Ints b) {
  return both(a, b, [](__m256i x, __m256i y) { return _mm256_max_epi32(x, y); });
}
inline int32_t greatest(Ints a) {
  const __m256i eight = _mm256_max_epi32(a.low, a.high);
  const __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}
inline int32_t sum(Ints a) {
  const __m256i eight = _mm256_add_epi32(a.low, a.high);
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}
inline void store_low_bytes(int8_t* to, Ints a) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.low, a.high), 0xd8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                   _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

inline int32_t word(const void* from) {
  int32_t value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}
/// Pairs of products are added in 16 bits, where 2 * 63 * 127 fits. Wide codes do so as magnitudes of at most
/// 128, their signs given to the activations: 2 * 128 * 127 fits too.
template <bool kWide>
Ints dot(Ints sums, Bytes codes, const int8_t* four) {
  const __m256i shared = _mm256_set1_epi32(word(four));
  return both(sums, codes, [&](__m256i total, __m256i x) {
    __m256i pairs;
    if constexpr (kWide) {
      const __m256i with_sign = _mm256_xor_si256(x, _mm256_set1_epi8(-128));
      pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(with_sign), _mm256_sign_epi8(shared, with_sign));
    } else {
      pairs = _mm256_maddubs_epi16(x, shared);
    }
    return _mm256_add_epi32(total, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  });
}
/// Codes with a sign have no zero to be taken off.
inline Ints wide_start(int32_t) {
  return no_ints();
}
inline Ints multiply_pairs(Ints pairs, int32_t shared) {
  const __m256i all = _mm256_set1_epi32(shared);
  return both(pairs, [&](__m256i x) { return _mm256_madd_epi16(x, all); });
}
inline Ints multiply_pairs(Ints a, Ints b) {
  return both(a, b, [](__m256i x, __m256i y) { return _mm256_madd_epi16(x, y); });
}
inline Ints add_pairs(Ints pairs, int32_t shared) {
  const __m256i all = _mm256_set1_epi32(shared);
  return both(pairs, [&](__m256i x) { return _mm256_add_epi16(x, all); });
}

inline Lanes all(float value) {
  return {_mm256_set1_ps(value), _mm256_set1_ps(value)};
}
inline Lanes no_lanes() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
inline Lanes load(const float* from) {
  return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
inline void store(float* to, Lanes a) {
  _mm256_storeu_ps(to, a.low);
  _mm256_storeu_ps(to + 8, a.high);
}
inline Lanes load_f16(const std::byte* from) {
  const __m128i* halves = reinterpret_cast<const __m128i*>(from);
  return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}
inline Lanes to_lanes(Ints a) {
  return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)};
}
inline Lanes multiply(Lanes a, Lanes b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline Ints magnitude_bits(Lanes a) {
  return bit_and({_mm256_castps_si256(a.low), _mm256_castps_si256(a.high)}, 0x7fffffff);
}
inline Ints rounded(Lanes a) {
  return {_mm256_cvtps_epi32(a.low), _mm256_cvtps_epi32(a.high)};
}

}  // namespace
}  // namespace martlet::ops::cpu
