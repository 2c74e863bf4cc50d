#pragma once

// Packed matrices rearranged for products with int8 activations.
//
// Problem: in a file a block holds 32 or 256 elements of one row, so a product adds up lanes of one row and
// must sum across them at the end. Here sixteen rows are a group, and each row is a 32-bit lane of a 512-bit
// vector: four bytes of a lane are four consecutive columns. One instruction (vpdpbusd) multiplies them by
// four activations that all lanes share and adds the four products to the lane's int32, so nothing is ever
// summed across lanes, and a block of 32 columns is eight such steps.
//
// Codes are unsigned. Bits of a code lie in planes of 64 bytes, byte 4 r + i of vector j being row r, column
// 4 j + i of the block:
//   four bits: plane v of four holds vector v in its low nibbles and vector v + 4 in its high ones;
//   five bits: plane v of five holds vector v in its low bits; the three bits above are, lowest first, vector
//     5 in plane 0 and the lower two of plane 1, vector 6 in plane 2 and the lower two of plane 3, vector 7
//     in plane 4, then in the top bits of planes 1 and 3;
//   six bits: plane v of three holds vector v in its low bits, and the two bits above of all three are vector
//     3's, lowest first; three planes more hold vectors 4 to 7 the same way;
//   eight bits: eight planes.
// Most vectors are a mask away from a plane, and planes are needed in the order of memory, which is what
// processors read ahead of.
// A chunk is 256 columns (the last may be shorter where blocks are of 32): a header with what the file keeps
// beside the codes, then the blocks' planes. Nothing is added to the file's bits but padding: of the header
// to 64 bytes, and of the last group to sixteen rows of zeros. Headers:
//   kScales: a vector of sixteen f16 scales for each block;
//   kScalesAndMinima: the scales of all blocks, then the minima of all blocks;
//   kScalesAndZeros: the scales of all blocks, then sixteen bytes of zero points for each, filled to 64
//   bytes; kSubScalesAndMinima: sixteen f16 d, sixteen f16 dmin, then the 12 bytes of scales of a row
//   (bits.h) as
//     three vectors of 32-bit words;
//   kSubScales: sixteen vectors of signed bytes, one for 16 columns each, then sixteen f16 d.

#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/packed_format.h"

namespace martlet::ops {

inline constexpr int64_t kGroupRows = 16;
inline constexpr int64_t kCodesBlock = 32;  ///< columns
inline constexpr int64_t kChunkBlocks = 8;

/// What an element is, q being its code.
enum class CodesForm : uint8_t {
  kScales,              ///< d (q - zero), d for 32 columns
  kScalesAndMinima,     ///< d q + m
  kScalesAndZeros,      ///< d q - d z; z for 32 columns
  kSubScalesAndMinima,  ///< (d s) q - (dmin n); d and dmin for 256 columns, s and n for 32
  kSubScales            ///< (d s) (q - zero); d for 256 columns, s for 16
};

/// What a step of the first of two codes of an activation is worth in steps of the second: the least for
/// which codes of [-127, 127] leave no gap.
inline constexpr int32_t kFirstCodeSteps = 255;

/// Steps of an activation for weights that are plain codes of four bits: a code added to it, 15 at most,
/// still fits a byte, so that kernels may multiply two columns by one product (cpu/linear_int8_pairs.h).
inline constexpr int kStepsForFourBits = 120;

/// How activations are rounded for a format: to multiples of the greatest of so many columns / 127, / 120 for
/// plain codes of four bits, or / 32512 where two int8 codes stand for one: 255 * first + second. Formats
/// with blocks of 32 keep that; those with blocks of 256 take 128, which is half of what other engines use
/// and lets a tile multiply by the scale of activations four times less often.
struct ActivationForm {
  CodesForm form;
  int zero;
  int codes = 1;       ///< of an activation: 1 or 2
  int greatest = 127;  ///< of one code
  /// In which the greatest magnitude of a block is counted.
  float steps() const { return static_cast<float>(codes == 1 ? greatest : 127 * kFirstCodeSteps + 127); }
  int64_t scale_columns() const {
    return form == CodesForm::kScales || form == CodesForm::kScalesAndMinima ? 32 : 128;
  }
  bool operator==(const ActivationForm&) const = default;
};

struct InterleavedFormat {
  const PackedFormat* source;
  CodesForm form;
  int bits;               ///< of a code: 4, 5, 6 or 8
  int zero;               ///< the code of 0; none where there are minima
  const uint8_t* levels;  ///< what a code of four bits stands for, where not for itself; or null
  void (*read_codes)(const std::byte* block, uint8_t* codes);  ///< of one block of the source
  int activation_codes = 1;  ///< of each activation that the weight is multiplied by

  /// A zero point is a minimum of -d z.
  ActivationForm activations() const {
    const bool leaves_room = bits == 4 && levels == nullptr && activation_codes == 1;
    return {form == CodesForm::kScalesAndZeros ? CodesForm::kScalesAndMinima : form, zero, activation_codes,
            leaves_room ? kStepsForFourBits : 127};
  }
  int64_t block_bytes() const { return 64 * bits; }
  int64_t header_bytes(int64_t blocks) const {
    switch (form) {
      case CodesForm::kScales:
        return (blocks + 1) / 2 * 64;
      case CodesForm::kScalesAndMinima:
        return blocks * 64;
      case CodesForm::kScalesAndZeros:
        return (blocks * (2 * kGroupRows + kGroupRows) + 63) / 64 * 64;
      case CodesForm::kSubScalesAndMinima:
        return 4 * 64;
      case CodesForm::kSubScales:
        return 5 * 64;
    }
    return 0;
  }
  int64_t chunk_bytes(int64_t blocks) const { return header_bytes(blocks) + blocks * block_bytes(); }
  /// Of sixteen rows.
  int64_t group_bytes(int64_t columns) const;
};

namespace packed {

extern const InterleavedFormat kQ4_0By16;
extern const InterleavedFormat kQ4_1By16;
extern const InterleavedFormat kQ5_0By16;
extern const InterleavedFormat kQ5_1By16;
extern const InterleavedFormat kQ8_0By16;
extern const InterleavedFormat kIq4NlBy16;
extern const InterleavedFormat kInt4ZeroBy16;
extern const InterleavedFormat kQ4KBy16;
extern const InterleavedFormat kQ5KBy16;
extern const InterleavedFormat kQ6KBy16;

}  // namespace packed

/// Null where a format has none.
const InterleavedFormat* interleaved_format(const PackedFormat& source);
std::span<const InterleavedFormat* const> interleaved_formats();
/// The same layout, for activations of two codes each.
const InterleavedFormat& with_two_codes(const InterleavedFormat& format);

/// Rearranges `row_count` packed rows into groups at `groups`, on all threads.
void interleave(const InterleavedFormat& format, const std::byte* rows, int64_t row_count, int64_t columns,
                std::byte* groups);
/// One row of a group as f32, bit-equal to the source's `unpack`.
void unpack_interleaved_row(const InterleavedFormat& format, const std::byte* group, int64_t row,
                            int64_t columns, float* out);

}  // namespace martlet::ops
