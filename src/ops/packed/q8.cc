// q8_0: eight bits an element, blocks of 32 (34 bytes): f16 scale d; 32 signed bytes. Element = d * byte.

#include "ops/packed/bits.h"
#include "ops/packed/formats.h"
#include "ops/packed/pack.h"

namespace martlet::ops::packed {
namespace {

void unpack_q8_0(const std::byte* block, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, block += 34, out += 32) {
    const float d = half_at(block, 0);
    for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(signed_byte_at(block + 2, i));
  }
}

}  // namespace

const PackedFormat kQ8_0{"q8_0", 32, 34, unpack_q8_0, pack_q8_0};

}  // namespace martlet::ops::packed
