#pragma once

// Sixteen f32 in plain C++, for any processor: the interface of floats_avx512.h. Products are rounded before
// they are added, since fused multiply-add in software is slow; all else has the same bits.

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "tensor/dtype.h"

namespace martlet::ops::cpu {
namespace {

struct Floats {
  float at[16];
};
struct Ints {
  int32_t at[16];
};
struct Mask {
  int32_t at[16];  // 1 where set
};

template <typename Result, typename Of>
Result each(Of of) {
  Result result;
  for (int i = 0; i < 16; ++i) result.at[i] = of(i);
  return result;
}
/// Integers wrap.
inline int32_t wrapped(uint32_t value) {
  return static_cast<int32_t>(value);
}
inline uint32_t bits(int32_t value) {
  return static_cast<uint32_t>(value);
}

inline Floats all(float value) {
  return each<Floats>([&](int) { return value; });
}
inline Ints all_ints(int32_t value) {
  return each<Ints>([&](int) { return value; });
}
inline Floats load(const float* from) {
  Floats result;
  std::memcpy(result.at, from, sizeof(result.at));
  return result;
}
inline Floats load(const float* from, int64_t count) {
  Floats result = all(0);
  std::memcpy(result.at, from, static_cast<size_t>(count) * sizeof(float));
  return result;
}
inline void store(float* to, Floats a) {
  std::memcpy(to, a.at, sizeof(a.at));
}
inline void store(float* to, Floats a, int64_t count) {
  std::memcpy(to, a.at, static_cast<size_t>(count) * sizeof(float));
}

inline Floats operator+(Floats a, Floats b) {
  return each<Floats>([&](int i) { return a.at[i] + b.at[i]; });
}
inline Floats operator-(Floats a, Floats b) {
  return each<Floats>([&](int i) { return a.at[i] - b.at[i]; });
}
inline Floats operator*(Floats a, Floats b) {
  return each<Floats>([&](int i) { return a.at[i] * b.at[i]; });
}
inline Floats operator/(Floats a, Floats b) {
  return each<Floats>([&](int i) { return a.at[i] / b.at[i]; });
}
inline Floats multiply_add(Floats a, Floats b, Floats c) {
  return each<Floats>([&](int i) { return a.at[i] * b.at[i] + c.at[i]; });
}
inline Floats larger(Floats a, Floats b) {
  return each<Floats>([&](int i) { return a.at[i] > b.at[i] ? a.at[i] : b.at[i]; });
}
inline Floats smaller(Floats a, Floats b) {
  return each<Floats>([&](int i) { return a.at[i] < b.at[i] ? a.at[i] : b.at[i]; });
}
inline Floats square_root(Floats a) {
  return each<Floats>([&](int i) { return std::sqrt(a.at[i]); });
}
inline Floats nearest_integer(Floats a) {
  // Adding and taking away 1.5 * 2^23 leaves the whole part, ties to even, of magnitudes below 2^22.
  constexpr float kShift = 12582912.0f;
  return each<Floats>([&](int i) { return a.at[i] + kShift - kShift; });
}

inline Mask operator<(Floats a, Floats b) {
  return each<Mask>([&](int i) { return a.at[i] < b.at[i] ? 1 : 0; });
}
inline Mask operator==(Floats a, Floats b) {
  return each<Mask>([&](int i) { return a.at[i] == b.at[i] ? 1 : 0; });
}
inline Mask is_nan(Floats a) {
  return each<Mask>([&](int i) { return a.at[i] != a.at[i] ? 1 : 0; });
}
inline bool any(Mask mask) {
  int32_t set = 0;
  for (int32_t lane : mask.at) set |= lane;
  return set != 0;
}
inline Floats select(Mask mask, Floats where_set, Floats elsewhere) {
  return each<Floats>([&](int i) { return mask.at[i] != 0 ? where_set.at[i] : elsewhere.at[i]; });
}

inline Ints bits_of(Floats a) {
  return each<Ints>([&](int i) { return std::bit_cast<int32_t>(a.at[i]); });
}
inline Floats floats_of(Ints a) {
  return each<Floats>([&](int i) { return std::bit_cast<float>(a.at[i]); });
}
inline Ints to_ints(Floats a) {
  // The lower bits of the shifted number are the whole part; a NaN gives some number, never undefined.
  constexpr float kShift = 12582912.0f;
  return each<Ints>([&](int i) {
    return wrapped(std::bit_cast<uint32_t>(a.at[i] + kShift) - std::bit_cast<uint32_t>(kShift));
  });
}
inline Floats to_floats(Ints a) {
  return each<Floats>([&](int i) { return static_cast<float>(a.at[i]); });
}
inline Ints operator+(Ints a, Ints b) {
  return each<Ints>([&](int i) { return wrapped(bits(a.at[i]) + bits(b.at[i])); });
}
inline Ints operator-(Ints a, Ints b) {
  return each<Ints>([&](int i) { return wrapped(bits(a.at[i]) - bits(b.at[i])); });
}
inline Ints operator&(Ints a, Ints b) {
  return each<Ints>([&](int i) { return a.at[i] & b.at[i]; });
}
inline Ints operator|(Ints a, Ints b) {
  return each<Ints>([&](int i) { return a.at[i] | b.at[i]; });
}
template <int kBits>
Ints shift_left(Ints a) {
  return each<Ints>([&](int i) { return wrapped(bits(a.at[i]) << kBits); });
}
template <int kBits>
Ints shift_right(Ints a) {
  return each<Ints>([&](int i) { return a.at[i] >> kBits; });
}

/// In two steps, of which the first is exact, so that subnormal results round once.
inline Floats times_power_of_two(Floats a, Floats n) {
  const Ints whole = to_ints(n);
  const Ints half = shift_right<1>(whole);
  return a * floats_of(shift_left<23>(half + all_ints(127))) *
         floats_of(shift_left<23>(whole - half + all_ints(127)));
}

inline Ints load_halves(const void* from) {
  uint16_t halves[16];
  std::memcpy(halves, from, sizeof(halves));
  return each<Ints>([&](int i) { return static_cast<int32_t>(halves[i]); });
}
inline void store_halves(void* to, Ints a) {
  uint16_t halves[16];
  for (int i = 0; i < 16; ++i) halves[i] = static_cast<uint16_t>(a.at[i]);
  std::memcpy(to, halves, sizeof(halves));
}
inline Floats load_f16(const void* from) {
  F16 halves[16];
  std::memcpy(halves, from, sizeof(halves));
  return each<Floats>([&](int i) { return to_float(halves[i]); });
}
inline void store_f16(void* to, Floats a) {
  F16 halves[16];
  for (int i = 0; i < 16; ++i) halves[i] = to_f16(a.at[i]);
  std::memcpy(to, halves, sizeof(halves));
}

inline float sum(Floats a) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) a.at[i] += a.at[i + half];
  return a.at[0];
}

}  // namespace
}  // namespace martlet::ops::cpu
