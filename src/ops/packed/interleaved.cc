#include "ops/packed/interleaved.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/packed/bits.h"
#include "ops/packed/formats.h"

namespace martlet::ops {
namespace {

using namespace packed;

constexpr int64_t kPlane = 64;
constexpr int64_t kHalfVector = 32;  // sixteen f16
constexpr int64_t kBlockCodes = kGroupRows * kCodesBlock;

/// Low nibbles are elements 0-15, high ones 16-31.
template <int64_t kNibbles>
void four_bits(const std::byte* block, uint8_t* codes) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = static_cast<uint8_t>(low_nibble(block + kNibbles, i));
    codes[i + 16] = static_cast<uint8_t>(high_nibble(block + kNibbles, i));
  }
}

template <int64_t kFifth>
void five_bits(const std::byte* block, uint8_t* codes) {
  four_bits<kFifth + 4>(block, codes);
  const uint32_t fifth = word_at(block, kFifth);
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(codes[i] | (fifth >> i & 1) << 4);
}

void eight_bits(const std::byte* block, uint8_t* codes) {
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(byte_at(block + 2, i) ^ 0x80);
}

/// Byte i of 32 bytes holds element i of a sub-block (low) and of the next (high).
void sub_block_nibbles(const std::byte* nibbles, uint8_t* codes) {
  for (int pair = 0; pair < 4; ++pair)
    for (int i = 0; i < 32; ++i) {
      codes[pair * 64 + i] = static_cast<uint8_t>(low_nibble(nibbles + pair * 32, i));
      codes[pair * 64 + 32 + i] = static_cast<uint8_t>(high_nibble(nibbles + pair * 32, i));
    }
}

void q4_k_codes(const std::byte* block, uint8_t* codes) {
  sub_block_nibbles(block + 16, codes);
}

void q5_k_codes(const std::byte* block, uint8_t* codes) {
  sub_block_nibbles(block + 48, codes);
  for (int sub = 0; sub < 8; ++sub)
    for (int i = 0; i < 32; ++i)
      codes[sub * 32 + i] =
          static_cast<uint8_t>(codes[sub * 32 + i] | (byte_at(block + 16, i) >> sub & 1) << 4);
}

void q6_k_codes(const std::byte* block, uint8_t* codes) {
  for (int half = 0; half < 2; ++half)
    for (int i = 0; i < 128; ++i) {
      const std::byte* nibbles = block + half * 64;
      const int low = i < 64 ? low_nibble(nibbles, i) : high_nibble(nibbles, i - 64);
      const int high = byte_at(block + 128, half * 32 + i % 32) >> (i / 32 * 2) & 3;
      codes[half * 128 + i] = static_cast<uint8_t>(low | high << 4);
    }
}

/// iq4_nl's levels (iq4.cc) and 128.
constexpr uint8_t kLevels[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};

constexpr auto kScales = CodesForm::kScales;
constexpr auto kScalesAndMinima = CodesForm::kScalesAndMinima;
constexpr auto kScalesAndZeros = CodesForm::kScalesAndZeros;
constexpr auto kSubScalesAndMinima = CodesForm::kSubScalesAndMinima;

}  // namespace

namespace packed {

constexpr InterleavedFormat kQ4_0By16{&kQ4_0, kScales, 4, 8, nullptr, four_bits<2>};
constexpr InterleavedFormat kQ4_1By16{&kQ4_1, kScalesAndMinima, 4, 0, nullptr, four_bits<4>};
constexpr InterleavedFormat kQ5_0By16{&kQ5_0, kScales, 5, 16, nullptr, five_bits<2>};
constexpr InterleavedFormat kQ5_1By16{&kQ5_1, kScalesAndMinima, 5, 0, nullptr, five_bits<4>};
constexpr InterleavedFormat kQ8_0By16{&kQ8_0, kScales, 8, 128, nullptr, eight_bits};
constexpr InterleavedFormat kIq4NlBy16{&kIq4Nl, kScales, 4, 128, kLevels, four_bits<2>};
constexpr InterleavedFormat kInt4ZeroBy16{&kInt4Zero, kScalesAndZeros, 4, 0, nullptr, four_bits<3>};
constexpr InterleavedFormat kQ4KBy16{&kQ4K, kSubScalesAndMinima, 4, 0, nullptr, q4_k_codes};
constexpr InterleavedFormat kQ5KBy16{&kQ5K, kSubScalesAndMinima, 5, 0, nullptr, q5_k_codes};
constexpr InterleavedFormat kQ6KBy16{&kQ6K, CodesForm::kSubScales, 6, 32, nullptr, q6_k_codes};

}  // namespace packed

namespace {

constexpr const InterleavedFormat* kFormats[] = {
    &kQ4_0By16,  &kQ4_1By16,     &kQ5_0By16, &kQ5_1By16, &kQ8_0By16,
    &kIq4NlBy16, &kInt4ZeroBy16, &kQ4KBy16,  &kQ5KBy16,  &kQ6KBy16,
};

constexpr InterleavedFormat two_codes(InterleavedFormat format) {
  format.activation_codes = 2;
  return format;
}

constexpr InterleavedFormat kTwoCodeFormats[] = {
    two_codes(kQ4_0By16), two_codes(kQ4_1By16),  two_codes(kQ5_0By16),     two_codes(kQ5_1By16),
    two_codes(kQ8_0By16), two_codes(kIq4NlBy16), two_codes(kInt4ZeroBy16), two_codes(kQ4KBy16),
    two_codes(kQ5KBy16),  two_codes(kQ6KBy16),
};

void copy(std::byte* to, const std::byte* from, int64_t bytes) {
  std::memcpy(to, from, static_cast<size_t>(bytes));
}

/// What stands beside the codes of one source block, into the lane of its row. `block`: its number in the
/// chunk of `blocks`.
void write_header(const InterleavedFormat& format, const std::byte* source, int64_t block, int64_t blocks,
                  int64_t row, std::byte* header) {
  switch (format.form) {
    case CodesForm::kScalesAndMinima:
      copy(header + (blocks + block) * kHalfVector + 2 * row, source + 2, 2);
      [[fallthrough]];
    case CodesForm::kScales:
      copy(header + block * kHalfVector + 2 * row, source, 2);
      break;
    case CodesForm::kScalesAndZeros:
      copy(header + block * kHalfVector + 2 * row, source, 2);
      header[blocks * kHalfVector + block * kGroupRows + row] = source[2];
      break;
    case CodesForm::kSubScalesAndMinima:
      copy(header + 2 * row, source, 2);
      copy(header + kHalfVector + 2 * row, source + 2, 2);
      for (int word = 0; word < 3; ++word)
        copy(header + kPlane * (1 + word) + 4 * row, source + 4 + 4 * word, 4);
      break;
    case CodesForm::kSubScales:
      for (int sub = 0; sub < 16; ++sub) header[16 * sub + row] = source[192 + sub];
      copy(header + 256 + 2 * row, source + 208, 2);
      break;
  }
}

/// Bits of a vector's codes, and where they stand in the bytes of a plane.
struct Piece {
  int vector, plane, from_bit, bits, code_bit;
};

constexpr Piece kFourBits[] = {{0, 0, 0, 4, 0}, {1, 1, 0, 4, 0}, {2, 2, 0, 4, 0}, {3, 3, 0, 4, 0},
                               {4, 0, 4, 4, 0}, {5, 1, 4, 4, 0}, {6, 2, 4, 4, 0}, {7, 3, 4, 4, 0}};
constexpr Piece kFiveBits[] = {{0, 0, 0, 5, 0}, {1, 1, 0, 5, 0}, {2, 2, 0, 5, 0}, {3, 3, 0, 5, 0},
                               {4, 4, 0, 5, 0}, {5, 0, 5, 3, 0}, {5, 1, 5, 2, 3}, {6, 2, 5, 3, 0},
                               {6, 3, 5, 2, 3}, {7, 4, 5, 3, 0}, {7, 1, 7, 1, 3}, {7, 3, 7, 1, 4}};
constexpr Piece kSixBits[] = {{0, 0, 0, 6, 0}, {1, 1, 0, 6, 0}, {2, 2, 0, 6, 0}, {3, 0, 6, 2, 0},
                              {3, 1, 6, 2, 2}, {3, 2, 6, 2, 4}, {4, 3, 0, 6, 0}, {5, 4, 0, 6, 0},
                              {6, 5, 0, 6, 0}, {7, 3, 6, 2, 0}, {7, 4, 6, 2, 2}, {7, 5, 6, 2, 4}};
/// Of codes of 4, 5 or 6 bits; those of eight are their planes.
std::span<const Piece> pieces_of(int bits) {
  if (bits == 4) return kFourBits;
  return bits == 5 ? std::span<const Piece>(kFiveBits) : kSixBits;
}

/// Codes [vector][row][4] of a block to its planes.
void write_planes(int bits, const uint8_t* codes, std::byte* planes) {
  if (bits == 8) {
    std::memcpy(planes, codes, kBlockCodes);
    return;
  }
  uint8_t written[8][kPlane] = {};
  for (const Piece piece : pieces_of(bits)) {
    const uint8_t* from = codes + piece.vector * kPlane;
    const auto mask = static_cast<uint8_t>((1 << piece.bits) - 1);
    uint8_t part[kPlane];
    for (int64_t i = 0; i < kPlane; ++i)
      part[i] = static_cast<uint8_t>((from[i] >> piece.code_bit & mask) << piece.from_bit);
    for (int64_t i = 0; i < kPlane; ++i) written[piece.plane][i] |= part[i];
  }
  std::memcpy(planes, written, static_cast<size_t>(bits * kPlane));
}

/// Code of vector j, byte i.
int read_code(int bits, const std::byte* planes, int64_t j, int64_t i) {
  if (bits == 8) return byte_at(planes, j * kPlane + i);
  int code = 0;
  for (const Piece& piece : pieces_of(bits))
    if (piece.vector == j)
      code |= (byte_at(planes, piece.plane * kPlane + i) >> piece.from_bit & ((1 << piece.bits) - 1))
              << piece.code_bit;
  return code;
}

void interleave_group(const InterleavedFormat& format, const std::byte* rows, int64_t row_count,
                      int64_t columns, std::byte* group) {
  const PackedFormat& source = *format.source;
  const int64_t row_bytes = source.row_bytes(columns);
  const int64_t source_blocks = source.block_elements / kCodesBlock;  // blocks of 32 in one of the source
  const int64_t all = columns / kCodesBlock;
  uint8_t codes[kChunkBlocks][kBlockCodes];
  for (int64_t first = 0; first < all; first += kChunkBlocks) {
    const int64_t blocks = std::min(kChunkBlocks, all - first);
    std::memset(codes, 0, sizeof(codes));
    std::memset(group, 0, static_cast<size_t>(format.header_bytes(blocks)));
    for (int64_t row = 0; row < row_count; ++row)
      for (int64_t block = 0; block < blocks; block += source_blocks) {
        const std::byte* from = rows + row * row_bytes + (first + block) / source_blocks * source.block_bytes;
        write_header(format, from, block, blocks, row, group);
        uint8_t its[kChunkBlocks * kCodesBlock];
        format.read_codes(from, its);
        for (int64_t b = 0; b < source_blocks; ++b)
          for (int64_t j = 0; j < 8; ++j)
            std::memcpy(codes[block + b] + j * kPlane + 4 * row, its + b * kCodesBlock + 4 * j, 4);
      }
    group += format.header_bytes(blocks);
    for (int64_t block = 0; block < blocks; ++block, group += format.block_bytes())
      write_planes(format.bits, codes[block], group);
  }
}

/// Element `in_block` of a block of a chunk, from its code.
float value_of(const InterleavedFormat& format, const std::byte* header, int64_t block, int64_t blocks,
               int64_t in_block, int64_t row, int code) {
  if (format.levels != nullptr) code = format.levels[code];
  const auto half = [&](int64_t vector) { return half_at(header, vector * kHalfVector + 2 * row); };
  switch (format.form) {
    case CodesForm::kScales:
      return half(block) * static_cast<float>(code - format.zero);
    case CodesForm::kScalesAndMinima:
      return half(block) * static_cast<float>(code) + half(blocks + block);
    case CodesForm::kScalesAndZeros: {
      const int zero = byte_at(header, blocks * kHalfVector + block * kGroupRows + row);
      return half(block) * static_cast<float>(code) - half(block) * static_cast<float>(zero);
    }
    case CodesForm::kSubScalesAndMinima: {
      std::byte scales[12];
      for (int word = 0; word < 3; ++word) copy(scales + 4 * word, header + kPlane * (1 + word) + 4 * row, 4);
      const ScaleAndMinimum sub = scale_and_minimum(scales, static_cast<int>(block));
      return half(0) * static_cast<float>(sub.scale) * static_cast<float>(code) -
             half(1) * static_cast<float>(sub.minimum);
    }
    case CodesForm::kSubScales: {
      const int scale = signed_byte_at(header, 16 * (2 * block + in_block / 16) + row);
      return half(8) * static_cast<float>(scale) * static_cast<float>(code - format.zero);
    }
  }
  return 0;
}

}  // namespace

int64_t InterleavedFormat::group_bytes(int64_t columns) const {
  const int64_t blocks = columns / kCodesBlock;
  const int64_t rest = blocks % kChunkBlocks;
  return blocks / kChunkBlocks * chunk_bytes(kChunkBlocks) + (rest == 0 ? 0 : chunk_bytes(rest));
}

std::span<const InterleavedFormat* const> interleaved_formats() {
  return kFormats;
}

const InterleavedFormat* interleaved_format(const PackedFormat& source) {
  for (const InterleavedFormat* format : kFormats)
    if (format->source == &source) return format;
  return nullptr;
}

const InterleavedFormat& with_two_codes(const InterleavedFormat& format) {
  for (const InterleavedFormat& two : kTwoCodeFormats)
    if (two.source == format.source) return two;
  failed("{} has no form for activations of two codes", format.source->name);
}

void interleave(const InterleavedFormat& format, const std::byte* rows, int64_t row_count, int64_t columns,
                std::byte* groups) {
  const int64_t group_bytes = format.group_bytes(columns);
  const int64_t row_bytes = format.source->row_bytes(columns);
  parallel_for((row_count + kGroupRows - 1) / kGroupRows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; ++group) {
      const int64_t row = group * kGroupRows;
      interleave_group(format, rows + row * row_bytes, std::min(kGroupRows, row_count - row), columns,
                       groups + group * group_bytes);
    }
  });
}

void unpack_interleaved_row(const InterleavedFormat& format, const std::byte* group, int64_t row,
                            int64_t columns, float* out) {
  const int64_t all = columns / kCodesBlock;
  for (int64_t first = 0; first < all; first += kChunkBlocks) {
    const int64_t blocks = std::min(kChunkBlocks, all - first);
    const std::byte* planes = group + format.header_bytes(blocks);
    for (int64_t block = 0; block < blocks; ++block, planes += format.block_bytes())
      for (int64_t i = 0; i < kCodesBlock; ++i)
        *out++ = value_of(format, group, block, blocks, i, row,
                          read_code(format.bits, planes, i / 4, 4 * row + i % 4));
    group += format.chunk_bytes(blocks);
  }
}

}  // namespace martlet::ops
