#pragma once

// Sixteen f32 in one 512-bit register, with the operators that element-wise kernels are written in. The three
// `floats_*.h` declare the same names; a kernel's source is compiled once over each of them. AVX-512 and AVX2
// give the same bits. Everything is local to the file that includes it, so that no code for this instruction
// set can be shared with files compiled for a lesser one.

#include <cstdint>
#include <immintrin.h>

namespace martlet::ops::cpu {
namespace {

struct Floats {
  __m512 v;
};
struct Ints {
  __m512i v;
};
struct Mask {
  __mmask16 v;
};

inline Floats all(float value) {
  return {_mm512_set1_ps(value)};
}
inline Ints all_ints(int32_t value) {
  return {_mm512_set1_epi32(value)};
}
inline __mmask16 first(int64_t count) {
  return static_cast<__mmask16>((1u << count) - 1);
}
inline Floats load(const float* from) {
  return {_mm512_loadu_ps(from)};
}
/// The first `count` (below 16), zeros behind.
inline Floats load(const float* from, int64_t count) {
  return {_mm512_maskz_loadu_ps(first(count), from)};
}
inline void store(float* to, Floats a) {
  _mm512_storeu_ps(to, a.v);
}
inline void store(float* to, Floats a, int64_t count) {
  _mm512_mask_storeu_ps(to, first(count), a.v);
}

inline Floats operator+(Floats a, Floats b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline Floats operator-(Floats a, Floats b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline Floats operator*(Floats a, Floats b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline Floats operator/(Floats a, Floats b) {
  return {_mm512_div_ps(a.v, b.v)};
}
/// a * b + c, rounded once where the processor can.
inline Floats multiply_add(Floats a, Floats b, Floats c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
/// The larger of two; b where either is NaN.
inline Floats larger(Floats a, Floats b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline Floats smaller(Floats a, Floats b) {
  return {_mm512_min_ps(a.v, b.v)};
}
inline Floats square_root(Floats a) {
  return {_mm512_sqrt_ps(a.v)};
}
inline Floats nearest_integer(Floats a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}

/// a 2^n, n whole in [-152, 130], rounded once.
inline Floats times_power_of_two(Floats a, Floats n) {
  return {_mm512_scalef_ps(a.v, n.v)};
}

inline Mask operator<(Floats a, Floats b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
}
inline Mask operator==(Floats a, Floats b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)};
}
inline Mask is_nan(Floats a) {
  return {_mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q)};
}
inline bool any(Mask mask) {
  return mask.v != 0;
}
inline Floats select(Mask mask, Floats where_set, Floats elsewhere) {
  return {_mm512_mask_blend_ps(mask.v, elsewhere.v, where_set.v)};
}

inline Ints bits_of(Floats a) {
  return {_mm512_castps_si512(a.v)};
}
inline Floats floats_of(Ints bits) {
  return {_mm512_castsi512_ps(bits.v)};
}
/// Of whole numbers that fit.
inline Ints to_ints(Floats a) {
  return {_mm512_cvtps_epi32(a.v)};
}
inline Floats to_floats(Ints a) {
  return {_mm512_cvtepi32_ps(a.v)};
}
inline Ints operator+(Ints a, Ints b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
inline Ints operator-(Ints a, Ints b) {
  return {_mm512_sub_epi32(a.v, b.v)};
}
inline Ints operator&(Ints a, Ints b) {
  return {_mm512_and_si512(a.v, b.v)};
}
inline Ints operator|(Ints a, Ints b) {
  return {_mm512_or_si512(a.v, b.v)};
}
template <int kBits>
Ints shift_left(Ints a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
/// Keeps the sign.
template <int kBits>
Ints shift_right(Ints a) {
  return {_mm512_srai_epi32(a.v, kBits)};
}

/// Sixteen 16-bit values, zero-extended; and the lower halves of sixteen integers.
inline Ints load_halves(const void* from) {
  return {_mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(from)))};
}
inline void store_halves(void* to, Ints a) {
  _mm256_storeu_si256(static_cast<__m256i*>(to), _mm512_cvtepi32_epi16(a.v));
}
inline Floats load_f16(const void* from) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(from)))};
}
/// Rounds to nearest even.
inline void store_f16(void* to, Floats a) {
  _mm256_storeu_si256(static_cast<__m256i*>(to),
                      _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

/// Lanes i and i + 8 are added, then + 4, + 2, + 1.
inline float sum(Floats a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

}  // namespace
}  // namespace martlet::ops::cpu
