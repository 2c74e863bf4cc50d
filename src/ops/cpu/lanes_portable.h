#pragma once

// Sixteen f32 lanes in plain C++, for any processor: the interface of lanes_avx512.h. Products are rounded
// before they are added, since fused multiply-add in software is slow.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "ops/cpu/unrolled.h"
#include "tensor/dtype.h"

namespace martlet::ops::cpu {
namespace {

struct Lanes {
  float at[16];
};
struct Codes {
  int32_t at[16];
};
struct Mask {
  bool at[16];
};

constexpr std::string_view kLanesName = "portable";

constexpr int kTileRows = 2;
constexpr int kTileColumns = 1;
constexpr int kMatmulRows = 2;
constexpr int kPanelVectors = 1;
constexpr int kFewSums = 2;

template <typename Result, typename Of>
Result each_lane(Of of) {
  Result result;
  for (int i = 0; i < 16; ++i) result.at[i] = of(i);
  return result;
}

inline Lanes all(float value) {
  return each_lane<Lanes>([&](int) { return value; });
}
inline Lanes zero() {
  return all(0);
}
inline Lanes load(const float* from) {
  Lanes result;
  std::memcpy(result.at, from, sizeof(result.at));
  return result;
}
inline void store(float* to, Lanes a) {
  std::memcpy(to, a.at, sizeof(a.at));
}
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) {
  return each_lane<Lanes>([&](int i) { return a.at[i] * b.at[i] + c.at[i]; });
}
inline Lanes multiply_subtract(Lanes a, Lanes b, Lanes c) {
  return each_lane<Lanes>([&](int i) { return a.at[i] * b.at[i] - c.at[i]; });
}
inline Lanes multiply(Lanes a, Lanes b) {
  return each_lane<Lanes>([&](int i) { return a.at[i] * b.at[i]; });
}
inline float sum(Lanes a) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) a.at[i] += a.at[i + half];
  return a.at[0];
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
  return each_lane<Lanes>([&](int i) { return a.at[i] + b.at[i]; });
}
inline void store_bf16(BF16* to, Lanes a) {
  for (int i = 0; i < 16; ++i) to[i] = to_bf16(a.at[i]);
}
inline Lanes load_first(const float* from, int64_t count) {
  Lanes result = zero();
  std::memcpy(result.at, from, static_cast<size_t>(count) * sizeof(float));
  return result;
}
template <typename Narrow>
Lanes load_first_narrow(const void* from, int64_t count) {
  Narrow values[16] = {};
  std::memcpy(values, from, static_cast<size_t>(count) * sizeof(Narrow));
  return each_lane<Lanes>([&](int i) { return to_float(values[i]); });
}
inline void store_first(float* to, Lanes a, int64_t count) {
  float values[16];
  store(values, a);
  std::memcpy(to, values, static_cast<size_t>(count) * sizeof(float));
}
inline Lanes load_first_bf16(const void* from, int64_t count) {
  return load_first_narrow<BF16>(from, count);
}
inline Lanes load_bf16(const void* from) {
  return load_first_bf16(from, 16);
}
inline Lanes load_first_f16(const void* from, int64_t count) {
  return load_first_narrow<F16>(from, count);
}
inline Lanes load_f16(const void* from) {
  return load_first_f16(from, 16);
}
inline Lanes all_f16(const std::byte* from) {
  F16 value;
  std::memcpy(&value, from, sizeof(value));
  return all(to_float(value));
}
inline Lanes join_halves(Lanes low, Lanes high) {
  return each_lane<Lanes>([&](int i) { return i < 8 ? low.at[i] : high.at[i]; });
}

inline Codes load_codes(const std::byte* from) {
  return each_lane<Codes>([&](int i) { return static_cast<int32_t>(from[i]); });
}
inline Codes load_signed_codes(const std::byte* from) {
  return each_lane<Codes>([&](int i) { return static_cast<int8_t>(from[i]); });
}
template <int kBits>
Codes shift_right(Codes a) {
  return each_lane<Codes>([&](int i) { return a.at[i] >> kBits; });
}
template <int kBits>
Codes shift_left(Codes a) {
  return each_lane<Codes>([&](int i) { return a.at[i] << kBits; });
}
inline Codes bit_and(Codes a, int mask) {
  return each_lane<Codes>([&](int i) { return a.at[i] & mask; });
}
inline Codes bit_or(Codes a, Codes b) {
  return each_lane<Codes>([&](int i) { return a.at[i] | b.at[i]; });
}
inline Codes subtract(Codes a, int b) {
  return each_lane<Codes>([&](int i) { return a.at[i] - b; });
}
inline Lanes to_lanes(Codes a) {
  return each_lane<Lanes>([&](int i) { return static_cast<float>(a.at[i]); });
}
inline Lanes lookup(Lanes table, Codes codes) {
  return each_lane<Lanes>([&](int i) { return table.at[codes.at[i] & 15]; });
}
inline Lanes lookup(Lanes clear, Lanes set, Mask mask, Codes codes) {
  return each_lane<Lanes>([&](int i) { return (mask.at[i] ? set : clear).at[codes.at[i] & 15]; });
}
inline Mask mask_of(uint32_t bits) {
  return each_lane<Mask>([&](int i) { return (bits >> i & 1u) != 0; });
}
template <int kBit>
Mask test_bit(Codes codes) {
  return each_lane<Mask>([&](int i) { return (codes.at[i] >> kBit & 1) != 0; });
}

}  // namespace
}  // namespace martlet::ops::cpu
