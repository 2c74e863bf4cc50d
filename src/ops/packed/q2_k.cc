// q2_k: two bits an element, blocks of 256 (84 bytes): 16 bytes of sub-block scales, 64 bytes of q, f16 d,
// f16 dmin. A sub-block is 16 elements; its scale is the low nibble s, its minimum the high nibble n.
// Element = (d * s) * q - (dmin * n). Byte i of each 32-byte half holds elements i, i + 32, i + 64 and i + 96
// of that half's 128, from the low bits up.

#include "ops/packed/bits.h"
#include "ops/packed/formats.h"

namespace martlet::ops::packed {
namespace {

void unpack_q2_k(const std::byte* block, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, block += 84, out += 256) {
    const float d = half_at(block, 80);
    const float minimum = half_at(block, 82);
    for (int i = 0; i < 256; ++i) {
      const int q = byte_at(block + 16, i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3;
      const float scaled = d * static_cast<float>(low_nibble(block, i / 16));
      out[i] = scaled * static_cast<float>(q) - minimum * static_cast<float>(high_nibble(block, i / 16));
    }
  }
}

}  // namespace

const PackedFormat kQ2K{"q2_k", 256, 84, unpack_q2_k};

}  // namespace martlet::ops::packed
