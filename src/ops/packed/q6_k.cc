// q6_k: six bits an element, blocks of 256 (210 bytes): 128 bytes of low nibbles, 64 bytes of upper bit
// pairs, 16 signed scales, f16 d. Element = (d * scale) * (q - 32), a scale for 16 elements. For each half of
// 128 elements: low nibbles of its 64 bytes are elements 0-63, high nibbles 64-127; byte i of its 32 bytes of
// pairs belongs to elements i, i + 32, i + 64 and i + 96, from the low bits up.

#include "ops/packed/bits.h"
#include "ops/packed/formats.h"
#include "ops/packed/pack.h"

namespace martlet::ops::packed {
namespace {

void unpack_q6_k(const std::byte* block, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, block += 210, out += 256) {
    const float d = half_at(block, 208);
    for (int i = 0; i < 256; ++i) {
      const int in_half = i % 128;
      const std::byte* nibbles = block + i / 128 * 64;
      const int low = in_half < 64 ? low_nibble(nibbles, in_half) : high_nibble(nibbles, in_half - 64);
      const int high = byte_at(block + 128, i / 128 * 32 + i % 32) >> (in_half / 32 * 2) & 3;
      const float scale = d * static_cast<float>(signed_byte_at(block + 192, i / 16));
      out[i] = scale * static_cast<float>((low | high << 4) - 32);
    }
  }
}

}  // namespace

const PackedFormat kQ6K{"q6_k", 256, 210, unpack_q6_k, pack_q6_k};

}  // namespace martlet::ops::packed
