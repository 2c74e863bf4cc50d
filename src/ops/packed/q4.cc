// Four bits an element, blocks of 32.
// q4_0 (18 bytes): f16 scale d; 16 bytes of nibbles. Element = d * (nibble - 8).
// q4_1 (20 bytes): f16 scale d; f16 minimum m; 16 bytes of nibbles. Element = d * nibble + m.
// The low nibble of byte i is element i, its high nibble element i + 16.

#include "ops/packed/bits.h"
#include "ops/packed/formats.h"
#include "ops/packed/pack.h"

namespace martlet::ops::packed {
namespace {

void unpack_q4_0(const std::byte* block, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, block += 18, out += 32) {
    const float d = half_at(block, 0);
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>(low_nibble(block + 2, i) - 8);
      out[i + 16] = d * static_cast<float>(high_nibble(block + 2, i) - 8);
    }
  }
}

void unpack_q4_1(const std::byte* block, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, block += 20, out += 32) {
    const float d = half_at(block, 0);
    const float m = half_at(block, 2);
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>(low_nibble(block + 4, i)) + m;
      out[i + 16] = d * static_cast<float>(high_nibble(block + 4, i)) + m;
    }
  }
}

}  // namespace

const PackedFormat kQ4_0{"q4_0", 32, 18, unpack_q4_0, pack_q4_0};
const PackedFormat kQ4_1{"q4_1", 32, 20, unpack_q4_1, pack_q4_1};

}  // namespace martlet::ops::packed
