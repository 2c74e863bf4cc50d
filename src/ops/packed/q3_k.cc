// q3_k: three bits an element, blocks of 256 (110 bytes): 32 bytes of third bits, 64 bytes of the lower two
// bits, 12 bytes of sixteen 6-bit scales, f16 d. Element = (d * (scale - 32)) * (low two bits - (third bit ?
// 0 : 4)). The two-bit part is laid out as in q2_k; bit j of byte i of the third bits belongs to element
// 32 j + i. Scale s has its low four bits in byte s % 8 (the high nibble from s = 8 on) and its upper two in
// byte 8 + s % 4.

#include "ops/packed/bits.h"
#include "ops/packed/formats.h"

namespace martlet::ops::packed {
namespace {

int scale_at(const std::byte* scales, int s) {
  const int low = s < 8 ? low_nibble(scales, s) : high_nibble(scales, s - 8);
  const int high = byte_at(scales, 8 + s % 4) >> (s / 4 * 2) & 3;
  return (low | high << 4) - 32;
}

void unpack_q3_k(const std::byte* block, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, block += 110, out += 256) {
    const float d = half_at(block, 108);
    for (int i = 0; i < 256; ++i) {
      const int low = byte_at(block + 32, i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3;
      const int third = byte_at(block, i % 32) >> (i / 32) & 1;
      const float scaled = d * static_cast<float>(scale_at(block + 96, i / 16));
      out[i] = scaled * static_cast<float>(low - (third != 0 ? 0 : 4));
    }
  }
}

}  // namespace

const PackedFormat kQ3K{"q3_k", 256, 110, unpack_q3_k};

}  // namespace martlet::ops::packed
