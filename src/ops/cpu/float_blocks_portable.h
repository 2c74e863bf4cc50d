#pragma once

// What kernels over blocks of registers need beside floats_portable.h, which is to be included first.

namespace martlet::ops::cpu {
namespace {

/// Sums of sixteen in a block: two fill half of sixteen registers of four.
inline constexpr int kBlockSums = 2;

/// The first `bytes` (at most 64) as they are, zeros behind.
inline Floats load_bytes(const void* from, int64_t bytes) {
  Floats result = all(0);
  std::memcpy(result.at, from, static_cast<size_t>(bytes));
  return result;
}
/// Sixteen signed bytes.
inline Ints load_signed_bytes(const void* from) {
  int8_t bytes[16];
  std::memcpy(bytes, from, sizeof(bytes));
  return each<Ints>([&](int i) { return static_cast<int32_t>(bytes[i]); });
}
/// binary16 in the lower halves.
inline Floats widen_f16(Ints a) {
  return each<Floats>([&](int i) { return to_float(F16{static_cast<uint16_t>(a.at[i])}); });
}

inline float largest_lane(Floats a) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) a.at[i] = a.at[i] > a.at[i + half] ? a.at[i] : a.at[i + half];
  return a.at[0];
}

/// Row i of the result holds lane i of every row.
inline void transpose(Floats (&rows)[16]) {
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < i; ++j) {
      const float kept = rows[i].at[j];
      rows[i].at[j] = rows[j].at[i];
      rows[j].at[i] = kept;
    }
}

}  // namespace
}  // namespace martlet::ops::cpu
