#pragma once

// Sixteen f32 in two 256-bit registers: the interface of floats_avx512.h, with the same bits.

#include <cstdint>
#include <cstring>
#include <immintrin.h>

namespace martlet::ops::cpu {
namespace {

struct Floats {
  __m256 low, high;
};
struct Ints {
  __m256i low, high;
};
struct Mask {
  __m256 low, high;
};

inline Floats all(float value) {
  return {_mm256_set1_ps(value), _mm256_set1_ps(value)};
}
inline Ints all_ints(int32_t value) {
  return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)};
}
inline Floats load(const float* from) {
  return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
inline Floats load(const float* from, int64_t count) {
  alignas(32) float values[16] = {};
  std::memcpy(values, from, static_cast<size_t>(count) * sizeof(float));
  return load(values);
}
inline void store(float* to, Floats a) {
  _mm256_storeu_ps(to, a.low);
  _mm256_storeu_ps(to + 8, a.high);
}
inline void store(float* to, Floats a, int64_t count) {
  alignas(32) float values[16];
  store(values, a);
  std::memcpy(to, values, static_cast<size_t>(count) * sizeof(float));
}

inline Floats operator+(Floats a, Floats b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
inline Floats operator-(Floats a, Floats b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
inline Floats operator*(Floats a, Floats b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline Floats operator/(Floats a, Floats b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
inline Floats multiply_add(Floats a, Floats b, Floats c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline Floats larger(Floats a, Floats b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
inline Floats smaller(Floats a, Floats b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
inline Floats square_root(Floats a) {
  return {_mm256_sqrt_ps(a.low), _mm256_sqrt_ps(a.high)};
}
inline Floats nearest_integer(Floats a) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.low, kMode), _mm256_round_ps(a.high, kMode)};
}

inline Mask operator<(Floats a, Floats b) {
  return {_mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ), _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ)};
}
inline Mask operator==(Floats a, Floats b) {
  return {_mm256_cmp_ps(a.low, b.low, _CMP_EQ_OQ), _mm256_cmp_ps(a.high, b.high, _CMP_EQ_OQ)};
}
inline Mask is_nan(Floats a) {
  return {_mm256_cmp_ps(a.low, a.low, _CMP_UNORD_Q), _mm256_cmp_ps(a.high, a.high, _CMP_UNORD_Q)};
}
inline bool any(Mask mask) {
  return (_mm256_movemask_ps(mask.low) | _mm256_movemask_ps(mask.high)) != 0;
}
inline Floats select(Mask mask, Floats where_set, Floats elsewhere) {
  return {_mm256_blendv_ps(elsewhere.low, where_set.low, mask.low),
          _mm256_blendv_ps(elsewhere.high, where_set.high, mask.high)};
}

inline Ints bits_of(Floats a) {
  return {_mm256_castps_si256(a.low), _mm256_castps_si256(a.high)};
}
inline Floats floats_of(Ints bits) {
  return {_mm256_castsi256_ps(bits.low), _mm256_castsi256_ps(bits.high)};
}
inline Ints to_ints(Floats a) {
  return {_mm256_cvtps_epi32(a.low), _mm256_cvtps_epi32(a.high)};
}
inline Floats to_floats(Ints a) {
  return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)};
}
inline Ints operator+(Ints a, Ints b) {
  return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}
inline Ints operator-(Ints a, Ints b) {
  return {_mm256_sub_epi32(a.low, b.low), _mm256_sub_epi32(a.high, b.high)};
}
inline Ints operator&(Ints a, Ints b) {
  return {_mm256_and_si256(a.low, b.low), _mm256_and_si256(a.high, b.high)};
}
inline Ints operator|(Ints a, Ints b) {
  return {_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
}
template <int kBits>
Ints shift_left(Ints a) {
  return {_mm256_slli_epi32(a.low, kBits), _mm256_slli_epi32(a.high, kBits)};
}
template <int kBits>
Ints shift_right(Ints a) {
  return {_mm256_srai_epi32(a.low, kBits), _mm256_srai_epi32(a.high, kBits)};
}

/// In two steps, of which the first is exact, so that subnormal results round once.
inline Floats times_power_of_two(Floats a, Floats n) {
  const Ints whole = to_ints(n);
  const Ints half = shift_right<1>(whole);
  return a * floats_of(shift_left<23>(half + all_ints(127))) *
         floats_of(shift_left<23>(whole - half + all_ints(127)));
}

inline Ints load_halves(const void* from) {
  const __m128i* halves = static_cast<const __m128i*>(from);
  return {_mm256_cvtepu16_epi32(_mm_loadu_si128(halves)), _mm256_cvtepu16_epi32(_mm_loadu_si128(halves + 1))};
}
inline void store_halves(void* to, Ints a) {
  // Packing works within 128 bits: the middle quarters change places after it.
  const __m256i mask = _mm256_set1_epi32(0xffff);
  const __m256i packed = _mm256_packus_epi32(_mm256_and_si256(a.low, mask), _mm256_and_si256(a.high, mask));
  _mm256_storeu_si256(static_cast<__m256i*>(to), _mm256_permute4x64_epi64(packed, 0xd8));
}
inline Floats load_f16(const void* from) {
  const __m128i* halves = static_cast<const __m128i*>(from);
  return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}
inline void store_f16(void* to, Floats a) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  __m128i* halves = static_cast<__m128i*>(to);
  _mm_storeu_si128(halves, _mm256_cvtps_ph(a.low, kMode));
  _mm_storeu_si128(halves + 1, _mm256_cvtps_ph(a.high, kMode));
}

inline float sum(Floats a) {
  const __m256 eight = _mm256_add_ps(a.low, a.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

}  // namespace
}  // namespace martlet::ops::cpu
