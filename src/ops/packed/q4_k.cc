// Four and five bits an element in blocks of 256, sub-blocks of 32 with a 6-bit scale s and minimum n each.
// q4_k (144 bytes): f16 d, f16 dmin, 12 bytes of scales (see bits.h), 128 bytes of nibbles.
// q5_k (176 bytes): the same with 32 bytes of fifth bits before the nibbles.
// Element = (d * s) * q - (dmin * n). Byte i of each 32 bytes of nibbles holds element i of a sub-block (low)
// and of the next one (high); bit j of byte i of the fifth bits belongs to element i of sub-block j.

#include "ops/packed/bits.h"
#include "ops/packed/formats.h"
#include "ops/packed/pack.h"

namespace martlet::ops::packed {
namespace {

void unpack_q4_k(const std::byte* block, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, block += 144, out += 256) {
    for (int sub_block = 0; sub_block < 8; ++sub_block) {
      const ScaleAndMinimum sub = scale_and_minimum(block + 4, sub_block);
      const float scale = half_at(block, 0) * static_cast<float>(sub.scale);
      const float minimum = half_at(block, 2) * static_cast<float>(sub.minimum);
      const std::byte* nibbles = block + 16 + sub_block / 2 * 32;
      for (int i = 0; i < 32; ++i) {
        const int q = sub_block % 2 == 0 ? low_nibble(nibbles, i) : high_nibble(nibbles, i);
        out[sub_block * 32 + i] = scale * static_cast<float>(q) - minimum;
      }
    }
  }
}

void unpack_q5_k(const std::byte* block, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, block += 176, out += 256) {
    for (int sub_block = 0; sub_block < 8; ++sub_block) {
      const ScaleAndMinimum sub = scale_and_minimum(block + 4, sub_block);
      const float scale = half_at(block, 0) * static_cast<float>(sub.scale);
      const float minimum = half_at(block, 2) * static_cast<float>(sub.minimum);
      const std::byte* nibbles = block + 48 + sub_block / 2 * 32;
      for (int i = 0; i < 32; ++i) {
        const int low = sub_block % 2 == 0 ? low_nibble(nibbles, i) : high_nibble(nibbles, i);
        const int fifth = byte_at(block + 16, i) >> sub_block & 1;
        out[sub_block * 32 + i] = scale * static_cast<float>(low | fifth << 4) - minimum;
      }
    }
  }
}

}  // namespace

const PackedFormat kQ4K{"q4_k", 256, 144, unpack_q4_k, pack_q4_k};
const PackedFormat kQ5K{"q5_k", 256, 176, unpack_q5_k, pack_q5_k};

}  // namespace martlet::ops::packed
