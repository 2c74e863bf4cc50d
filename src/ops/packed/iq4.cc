// Four bits an element that index sixteen levels, denser around zero than equal steps.
// iq4_nl (18 bytes for 32): f16 d; 16 bytes of nibbles as in q4_0. Element = d * level[nibble].
// iq4_xs (136 bytes for 256): f16 d; 16-bit word of upper scale bits; 4 bytes of lower scale nibbles; 128
// bytes of nibbles, 16 for each sub-block of 32. Element = (d * (scale - 32)) * level[nibble].

#include "ops/packed/bits.h"
#include "ops/packed/formats.h"
#include "ops/packed/iq4_levels.h"
#include "ops/packed/pack.h"

namespace martlet::ops::packed {
namespace {

void unpack_sub_block(float scale, const std::byte* nibbles, float* out) {
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * kIq4Levels[low_nibble(nibbles, i)];
    out[i + 16] = scale * kIq4Levels[high_nibble(nibbles, i)];
  }
}

void unpack_iq4_nl(const std::byte* block, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, block += 18, out += 32) unpack_sub_block(half_at(block, 0), block + 2, out);
}

void unpack_iq4_xs(const std::byte* block, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, block += 136, out += 256) {
    const int upper = byte_at(block, 2) | byte_at(block, 3) << 8;
    for (int sub = 0; sub < 8; ++sub) {
      const int low = sub % 2 == 0 ? low_nibble(block + 4, sub / 2) : high_nibble(block + 4, sub / 2);
      const int scale = (low | (upper >> (2 * sub) & 3) << 4) - 32;
      unpack_sub_block(half_at(block, 0) * static_cast<float>(scale), block + 8 + 16 * sub, out + 32 * sub);
    }
  }
}

}  // namespace

const PackedFormat kIq4Nl{"iq4_nl", 32, 18, unpack_iq4_nl, pack_iq4_nl};
const PackedFormat kIq4Xs{"iq4_xs", 256, 136, unpack_iq4_xs};

}  // namespace martlet::ops::packed
