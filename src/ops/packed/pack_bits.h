#pragma once

// Writing fields of packed blocks, which may start at any byte.

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace martlet::ops::packed {

inline void put_byte(std::byte* out, int64_t at, int value) {
  out[at] = static_cast<std::byte>(value & 255);
}

inline void put_half(std::byte* out, int64_t at, float value) {
  const uint16_t bits = to_f16(value).bits;
  put_byte(out, at, bits);
  put_byte(out, at + 1, bits >> 8);
}

/// Sixteen bytes: element i in the low nibble of byte i, element i + 16 in its high one.
inline void put_nibbles(std::byte* out, int64_t at, const int* q) {
  for (int i = 0; i < 16; ++i) put_byte(out, at + i, (q[i] & 15) | (q[i + 16] & 15) << 4);
}

/// Bit 4 of element j as bit j of a little-endian word.
inline void put_fifth_bits(std::byte* out, int64_t at, const int* q) {
  uint32_t word = 0;
  for (int i = 0; i < 32; ++i) word |= static_cast<uint32_t>(q[i] >> 4 & 1) << i;
  for (int i = 0; i < 4; ++i) put_byte(out, at + i, static_cast<int>(word >> (8 * i) & 255));
}

}  // namespace martlet::ops::packed
