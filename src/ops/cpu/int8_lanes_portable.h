#pragma once

// Sixteen lanes of int32 and f32, and of four bytes each, in plain C++: the interface of
// int8_lanes_avx512vnni.h, with the same bits. It is the definition, and slow where the processor has no
// fused multiply-add.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "ops/cpu/unrolled.h"
#include "tensor/dtype.h"

namespace martlet::ops::cpu {
namespace {

struct Bytes {
  uint8_t at[64];
};
struct Ints {
  int32_t at[16];
};
struct Lanes {
  float at[16];
};

constexpr std::string_view kInt8Name = "portable";
constexpr int kMostColumns = 2;
constexpr int kMostSubScaleColumns = 2;
constexpr int kLeastChains = 1;
constexpr bool kMultipliesAnyByte = true;

template <typename Result, int kCount, typename Of>
Result each(Of of) {
  Result result;
  for (int i = 0; i < kCount; ++i) result.at[i] = of(i);
  return result;
}
template <typename Of>
Bytes each_byte(Of of) {
  return each<Bytes, 64>([&](int i) { return static_cast<uint8_t>(of(i)); });
}
template <typename Of>
Ints each_int(Of of) {
  return each<Ints, 16>(of);
}
template <typename Of>
Lanes each_lane(Of of) {
  return each<Lanes, 16>(of);
}
template <typename Vector>
Vector loaded(const void* from) {
  Vector result;
  std::memcpy(&result, from, sizeof(result));
  return result;
}

inline Bytes load_bytes(const void* from) {
  return loaded<Bytes>(from);
}
inline void store_bytes(void* to, const Bytes& a) {
  std::memcpy(to, &a, sizeof(a));
}
template <int kFrom, int kBits>
Bytes bits_of(const Bytes& a) {
  return each_byte([&](int i) { return a.at[i] >> kFrom & ((1 << kBits) - 1); });
}
template <int kFrom, int kBits, int kTo>
Bytes with_bits_of(const Bytes& a, const Bytes& plane) {
  return each_byte([&](int i) { return a.at[i] | (plane.at[i] >> kFrom & ((1 << kBits) - 1)) << kTo; });
}
inline Bytes high_nibbles_in_place(const Bytes& a) {
  return each_byte([&](int i) { return a.at[i] & 0xf0; });
}
inline Bytes lookup(const uint8_t* table, const Bytes& a) {
  return each_byte([&](int i) { return table[a.at[i]]; });
}

inline Ints all_ints(int32_t value) {
  return each_int([&](int) { return value; });
}
inline Ints no_ints() {
  return all_ints(0);
}
inline Ints load_ints(const void* from) {
  return loaded<Ints>(from);
}
inline void store_ints(void* to, const Ints& a) {
  std::memcpy(to, &a, sizeof(a));
}
inline Ints load_signed_bytes(const std::byte* from) {
  return each_int([&](int i) { return static_cast<int8_t>(from[i]); });
}
inline Ints add(const Ints& a, const Ints& b) {
  return each_int([&](int i) { return a.at[i] + b.at[i]; });
}
inline Ints subtract(const Ints& a, const Ints& b) {
  return each_int([&](int i) { return a.at[i] - b.at[i]; });
}
inline Ints bit_or(const Ints& a, const Ints& b) {
  return each_int([&](int i) { return a.at[i] | b.at[i]; });
}
inline Ints bit_and(const Ints& a, int32_t mask) {
  return each_int([&](int i) { return a.at[i] & mask; });
}
template <int kBits>
Ints shift_right(const Ints& a) {
  return each_int([&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.at[i]) >> kBits); });
}
template <int kBits>
Ints signed_shift_right(const Ints& a) {
  return each_int([&](int i) { return a.at[i] >> kBits; });
}
template <int kBits>
Ints shift_left(const Ints& a) {
  return each_int([&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.at[i]) << kBits); });
}
inline Ints max(const Ints& a, const Ints& b) {
  return each_int([&](int i) { return std::max(a.at[i], b.at[i]); });
}
inline int32_t greatest(const Ints& a) {
  return *std::max_element(a.at, a.at + 16);
}
inline int32_t sum(const Ints& a) {
  int32_t total = 0;
  for (const int32_t each_of_them : a.at) total += each_of_them;
  return total;
}
inline void store_low_bytes(int8_t* to, const Ints& a) {
  for (int i = 0; i < 16; ++i) to[i] = static_cast<int8_t>(a.at[i]);
}

template <bool kWide>
Ints dot(const Ints& sums, const Bytes& codes, const int8_t* four) {
  return each_int([&](int i) {
    int32_t total = sums.at[i];
    for (int k = 0; k < 4; ++k) total += codes.at[4 * i + k] * four[k];
    return total;
  });
}
inline Ints wide_start(int32_t start) {
  return all_ints(start);
}
inline int16_t low_half(int32_t pair) {
  return static_cast<int16_t>(pair);
}
inline int16_t high_half(int32_t pair) {
  return static_cast<int16_t>(pair >> 16);
}
inline Ints multiply_pairs(const Ints& a, const Ints& b) {
  return each_int(
      [&](int i) { return low_half(a.at[i]) * low_half(b.at[i]) + high_half(a.at[i]) * high_half(b.at[i]); });
}
inline Ints multiply_pairs(const Ints& pairs, int32_t shared) {
  return multiply_pairs(pairs, all_ints(shared));
}
inline Ints add_pairs(const Ints& pairs, int32_t shared) {
  return each_int([&](int i) {
    const uint32_t low = static_cast<uint32_t>(low_half(pairs.at[i]) + low_half(shared)) & 0xffffu;
    const uint32_t high = static_cast<uint32_t>(high_half(pairs.at[i]) + high_half(shared));
    return static_cast<int32_t>(high << 16 | low);
  });
}

inline Lanes all(float value) {
  return each_lane([&](int) { return value; });
}
inline Lanes no_lanes() {
  return all(0);
}
inline Lanes load(const float* from) {
  return loaded<Lanes>(from);
}
inline void store(float* to, const Lanes& a) {
  std::memcpy(to, &a, sizeof(a));
}
inline Lanes load_f16(const std::byte* from) {
  uint16_t bits[16];
  std::memcpy(bits, from, sizeof(bits));
  return each_lane([&](int i) { return to_float(F16{bits[i]}); });
}
inline Lanes to_lanes(const Ints& a) {
  return each_lane([&](int i) { return static_cast<float>(a.at[i]); });
}
inline Lanes multiply(const Lanes& a, const Lanes& b) {
  return each_lane([&](int i) { return a.at[i] * b.at[i]; });
}
inline Lanes multiply_add(const Lanes& a, const Lanes& b, const Lanes& c) {
  return each_lane([&](int i) { return std::fma(a.at[i], b.at[i], c.at[i]); });
}
inline Ints magnitude_bits(const Lanes& a) {
  return each_int([&](int i) { return std::bit_cast<int32_t>(a.at[i]) & 0x7fffffff; });
}
inline Ints rounded(const Lanes& a) {
  return each_int([&](int i) { return static_cast<int32_t>(std::nearbyint(a.at[i])); });
}

}  // namespace
}  // namespace martlet::ops::cpu
