#pragma once

// Reading fields of packed blocks, which may start at any byte.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensor/dtype.h"

namespace martlet::ops::packed {

inline int byte_at(const std::byte* bytes, int64_t index) {
  return std::to_integer<int>(bytes[index]);
}

inline int low_nibble(const std::byte* bytes, int64_t index) {
  return byte_at(bytes, index) & 15;
}

inline int high_nibble(const std::byte* bytes, int64_t index) {
  return byte_at(bytes, index) >> 4;
}

inline int signed_byte_at(const std::byte* bytes, int64_t index) {
  return static_cast<int8_t>(byte_at(bytes, index));
}

/// A little-endian binary16 as f32.
inline float half_at(const std::byte* bytes, int64_t offset) {
  return to_float(F16{static_cast<uint16_t>(byte_at(bytes, offset) | byte_at(bytes, offset + 1) << 8)});
}

/// A little-endian 32-bit number.
inline uint32_t word_at(const std::byte* bytes, int64_t offset) {
  uint32_t word = 0;
  for (int i = 3; i >= 0; --i) word = word << 8 | static_cast<uint32_t>(byte_at(bytes, offset + i));
  return word;
}

/// Scale and minimum of one of the eight sub-blocks of q4_k and q5_k: six bits each, in twelve bytes. Bytes
/// 0-3 hold the scales of sub-blocks 0-3, bytes 4-7 their minima; bytes 8-11 hold the low four bits of scale
/// (low nibble) and minimum (high nibble) of sub-blocks 4-7, whose upper two bits sit on top of bytes 0-7.
struct ScaleAndMinimum {
  int scale;
  int minimum;
};
inline ScaleAndMinimum scale_and_minimum(const std::byte* scales, int sub_block) {
  if (sub_block < 4) return {byte_at(scales, sub_block) & 63, byte_at(scales, sub_block + 4) & 63};
  const int low = byte_at(scales, sub_block + 4);
  return {(low & 15) | (byte_at(scales, sub_block - 4) >> 6) << 4,
          low >> 4 | (byte_at(scales, sub_block) >> 6) << 4};
}

}  // namespace martlet::ops::packed
