// Integers with a zero point, as GPTQ, AWQ and compressed-tensors checkpoints have them: blocks of 32.
// int4_zero (19 bytes): f16 scale d; byte z; 16 bytes of nibbles q. Element = d * q - d * z.
// int8_zero (35 bytes): f16 scale d; byte z; 32 bytes q. Element = d * q - d * z.
// The low nibble of byte i is element i, its high nibble element i + 16. Both products are exact in f32, and
// so is their difference: it is d * (q - z).
//
// int8 (one byte, any number of columns): a signed code. Element = code; whoever uses it keeps the scales.

#include "ops/packed/bits.h"
#include "ops/packed/formats.h"

namespace martlet::ops::packed {
namespace {

void unpack_int4_zero(const std::byte* block, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, block += 19, out += 32) {
    const float d = half_at(block, 0);
    const float zero = d * static_cast<float>(byte_at(block, 2));
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>(low_nibble(block + 3, i)) - zero;
      out[i + 16] = d * static_cast<float>(high_nibble(block + 3, i)) - zero;
    }
  }
}

void unpack_int8_zero(const std::byte* block, int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, block += 35, out += 32) {
    const float d = half_at(block, 0);
    const float zero = d * static_cast<float>(byte_at(block, 2));
    for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(byte_at(block + 3, i)) - zero;
  }
}

void unpack_int8(const std::byte* codes, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(signed_byte_at(codes, i));
}

}  // namespace

const PackedFormat kInt8{"int8", 1, 1, unpack_int8};
const PackedFormat kInt4Zero{"int4_zero", 32, 19, unpack_int4_zero};
const PackedFormat kInt8Zero{"int8_zero", 32, 35, unpack_int8_zero};

}  // namespace martlet::ops::packed
