#pragma once

// Sixteen lanes of int32 and f32, and of four bytes each, in AVX-512 registers with VNNI. The three
// `int8_lanes_*.h` have one interface, but for what stands last here, and give the same bits. Only for files
// compiled with these instructions; everything is local to the file.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <immintrin.h>
#include <string_view>

#include "ops/cpu/unrolled.h"

namespace martlet::ops::cpu {
namespace {

using Bytes = __m512i;  // 64 unsigned bytes, four a lane
using Ints = __m512i;   // sixteen int32
using Lanes = __m512;   // sixteen f32

constexpr std::string_view kInt8Name = "AVX-512 VNNI";
// Columns of a tile. Of 32 registers, integer and float sums take 12 each; forms with sub-scales have one
// more sum for each column.
constexpr int kMostColumns = 12;
constexpr int kMostSubScaleColumns = 9;
// Sums that must run side by side: `dot` takes four cycles and starts every cycle.
constexpr int kLeastChains = 4;
// `dot` takes codes up to 255 exactly, whatever kWide.
constexpr bool kMultipliesAnyByte = true;

inline Bytes load_bytes(const void* from) {
  return _mm512_loadu_si512(from);
}
inline void store_bytes(void* to, Bytes a) {
  _mm512_storeu_si512(to, a);
}
/// Every byte's bits from kFrom on in the place of bits from kTo on; what else is shifted in is of no use.
template <int kFrom, int kTo>
Bytes shifted(Bytes a) {
  if constexpr (kFrom > kTo) return _mm512_srli_epi16(a, kFrom - kTo);
  if constexpr (kFrom < kTo) return _mm512_slli_epi16(a, kTo - kFrom);
  return a;
}
/// Bits [kFrom, kFrom + kBits) of every byte as a number.
template <int kFrom, int kBits>
Bytes bits_of(Bytes a) {
  return _mm512_and_si512(shifted<kFrom, 0>(a), _mm512_set1_epi8(static_cast<char>((1 << kBits) - 1)));
}
/// a | that number of `plane` << kTo.
template <int kFrom, int kBits, int kTo>
Bytes with_bits_of(Bytes a, Bytes plane) {
  const Bytes bits = shifted<kFrom, kTo>(plane);
  const Bytes mask = _mm512_set1_epi8(static_cast<char>(((1 << kBits) - 1) << kTo));
  return _mm512_ternarylogic_epi32(a, bits, mask, 0xf8);
}
/// Sixteen times the high four bits.
inline Bytes high_nibbles_in_place(Bytes a) {
  return _mm512_and_si512(a, _mm512_set1_epi8(static_cast<char>(0xf0)));
}
/// table[a], a below 16.
inline Bytes lookup(const uint8_t* table, Bytes a) {
  const __m128i all = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(all), a);
}

inline Ints no_ints() {
  return _mm512_setzero_si512();
}
inline Ints all_ints(int32_t value) {
  return _mm512_set1_epi32(value);
}
inline Ints load_ints(const void* from) {
  return _mm512_loadu_si512(from);
}
inline void store_ints(void* to, Ints a) {
  _mm512_storeu_si512(to, a);
}
inline Ints load_signed_bytes(const std::byte* from) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline Ints add(Ints a, Ints b) {
  return _mm512_add_epi32(a, b);
}
inline Ints subtract(Ints a, Ints b) {
  return _mm512_sub_epi32(a, b);
}
inline Ints bit_or(Ints a, Ints b) {
  return _mm512_or_si512(a, b);
}
inline Ints bit_and(Ints a, int32_t mask) {
  return _mm512_and_si512(a, _mm512_set1_epi32(mask));
}
template <int kBits>
Ints shift_right(Ints a) {
  return _mm512_srli_epi32(a, kBits);
}
/// Rounds towards minus infinity.
template <int kBits>
Ints signed_shift_right(Ints a) {
  return _mm512_srai_epi32(a, kBits);
}
template <int kBits>
Ints shift_left(Ints a) {
  return _mm512_slli_epi32(a, kBits);
}
inline int32_t greatest(Ints a) {
  return _mm512_reduce_max_epi32(a);
}
inline Ints max(Ints a, Ints b) {
  return _mm512_max_epi32(a, b);
}
inline int32_t sum(Ints a) {
  return _mm512_reduce_add_epi32(a);
}
/// The low bytes of sixteen numbers in [-128, 127].
inline void store_low_bytes(int8_t* to, Ints a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(a));
}

inline int32_t word(const void* from) {
  int32_t value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}
/// sums + codes * four activations, which all lanes share. Codes are at most 63, but where kWide.
template <bool kWide>
Ints dot(Ints sums, Bytes codes, const int8_t* four) {
  // One instruction: GCC 12 would load the word into a register before, which fills the processor's queues.
  asm("vpdpbusd %2%{1to16%}, %1, %0"
      : "+v"(sums)
      : "v"(codes), "m"(*reinterpret_cast<const std::byte(*)[4]>(four)));
  return sums;
}

// What products of columns in pairs and signed codes take, which these lanes alone have.

/// sums + unsigned bytes * signed ones.
inline Ints dot(Ints sums, Bytes codes, Bytes signed_bytes) {
  return _mm512_dpbusd_epi32(sums, codes, signed_bytes);
}
inline Bytes all_bytes(int value) {
  return _mm512_set1_epi8(static_cast<char>(value));
}
inline Bytes add_bytes(Bytes a, Bytes b) {
  return _mm512_add_epi8(a, b);
}
/// a + four bytes, which all lanes share.
inline Bytes add_bytes(Bytes a, const int8_t* four) {
  Bytes shared = _mm512_set1_epi32(word(four));
  asm("" : "+v"(shared));  // or the word would be loaded into a general register before
  return add_bytes(a, shared);
}
/// The same where no sum of unsigned bytes exceeds 255: words may be added, which takes them from memory.
inline Bytes add_without_carry(Bytes a, const int8_t* four) {
  return _mm512_add_epi32(a, _mm512_set1_epi32(word(four)));
}

/// Sixteen codes and sixteen more, of which the first 4 * kWords of each are moved: first - down, second +
/// up. Gives the sum of first * (second + up) - down * second over these, as they were.
template <int kWords, int kDown, int kUp>
int32_t move_pairs(int8_t* codes) {
  __m128i* halves = reinterpret_cast<__m128i*>(codes);
  constexpr __mmask16 kMoved = (1 << 4 * kWords) - 1;
  const __m128i first = _mm_loadu_si128(halves), second = _mm_loadu_si128(halves + 1);
  const __m128i up = _mm_mask_add_epi8(second, kMoved, second, _mm_set1_epi8(kUp));
  _mm_storeu_si128(halves, _mm_mask_sub_epi8(first, kMoved, first, _mm_set1_epi8(kDown)));
  _mm_storeu_si128(halves + 1, up);
  const __m128i products = _mm_dpbusd_epi32(_mm_setzero_si128(), up, first);
  const __m128i taken = _mm_dpbusd_epi32(_mm_setzero_si128(), _mm_set1_epi8(kDown), second);
  const __m128i four = _mm_maskz_sub_epi32((1 << kWords) - 1, products, taken);
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

/// What a sum of wide codes starts from, where `start` takes off the codes' zero, 128.
inline Ints wide_start(int32_t start) {
  return _mm512_set1_epi32(start);
}
/// The sum of two products: signed 16-bit numbers of each lane times two that all lanes share.
inline Ints multiply_pairs(Ints pairs, int32_t shared) {
  return _mm512_madd_epi16(pairs, _mm512_set1_epi32(shared));
}
inline Ints multiply_pairs(Ints a, Ints b) {
  return _mm512_madd_epi16(a, b);
}
/// Sums of signed 16-bit numbers of each lane and two that all lanes share.
inline Ints add_pairs(Ints pairs, int32_t shared) {
  return _mm512_add_epi16(pairs, _mm512_set1_epi32(shared));
}

inline Lanes all(float value) {
  return _mm512_set1_ps(value);
}
inline Lanes no_lanes() {
  return _mm512_setzero_ps();
}
inline Lanes load(const float* from) {
  return _mm512_loadu_ps(from);
}
inline void store(float* to, Lanes a) {
  _mm512_storeu_ps(to, a);
}
inline Lanes load_f16(const std::byte* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline Lanes to_lanes(Ints a) {
  return _mm512_cvtepi32_ps(a);
}
inline Lanes multiply(Lanes a, Lanes b) {
  return _mm512_mul_ps(a, b);
}
/// a * b + c, rounded once.
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) {
  return _mm512_fmadd_ps(a, b, c);
}
/// The bits of magnitudes, which order as the magnitudes do, NaN above all.
inline Ints magnitude_bits(Lanes a) {
  return _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff));
}
/// To nearest, ties to even.
inline Ints rounded(Lanes a) {
  return _mm512_cvtps_epi32(a);
}

}  // namespace
}  // namespace martlet::ops::cpu
