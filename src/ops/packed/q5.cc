// Five bits an element, blocks of 32.
// q5_0 (22 bytes): f16 scale d; 32 fifth bits; 16 bytes of nibbles. Element = d * (q - 16).
// q5_1 (24 bytes): f16 scale d; f16 minimum m; 32 fifth bits; 16 bytes of nibbles. Element = d * q + m.
// The low nibble of byte i is element i, its high nibble element i + 16; bit j of the little-endian word of
// fifth bits belongs to element j.

#include "ops/packed/bits.h"
#include "ops/packed/formats.h"
#include "ops/packed/pack.h"

namespace martlet::ops::packed {
namespace {

/// q of element `i` in 0..15, and of element i + 16.
int low_q(uint32_t fifth, const std::byte* nibbles, int i) {
  return low_nibble(nibbles, i) | static_cast<int>(fifth >> i & 1u) << 4;
}
int high_q(uint32_t fifth, const std::byte* nibbles, int i) {
  return high_nibble(nibbles, i) | static_cast<int>(fifth >> (i + 16) & 1u) << 4;
}

void unpack_q5_0(const std::byte* block, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, block += 22, out += 32) {
    const float d = half_at(block, 0);
    const uint32_t fifth = word_at(block, 2);
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>(low_q(fifth, block + 6, i) - 16);
      out[i + 16] = d * static_cast<float>(high_q(fifth, block + 6, i) - 16);
    }
  }
}

void unpack_q5_1(const std::byte* block, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, block += 24, out += 32) {
    const float d = half_at(block, 0);
    const float m = half_at(block, 2);
    const uint32_t fifth = word_at(block, 4);
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>(low_q(fifth, block + 8, i)) + m;
      out[i + 16] = d * static_cast<float>(high_q(fifth, block + 8, i)) + m;
    }
  }
}

}  // namespace

const PackedFormat kQ5_0{"q5_0", 32, 22, unpack_q5_0, pack_q5_0};
const PackedFormat kQ5_1{"q5_1", 32, 24, unpack_q5_1, pack_q5_1};

}  // namespace martlet::ops::packed
