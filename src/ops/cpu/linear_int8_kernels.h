#pragma once

// The inner loops of products with int8 activations, one set for each instruction set and interleaved format
// (ops/packed/interleaved.h, which says how weights lie).
//
// Every output is one chain of operations in one order, whatever the number of activations' rows, threads or
// the instruction set, so that all kernels give the same bits. Sums of codes times activations are exact
// integers. A block of 32 columns (kScales, kScalesAndMinima) then adds, with one fused multiply-add each,
//   integer sum * (weight scale * activation scale), and minimum * sum of the activations.
// Formats with sub-scales add up integer sum * sub-scale over 128 columns first, a chain of its own; with
//   minima, that * d + (integer sum of the minima * -dmin), times the activation scale, is added; without,
//   that * (d * activation scale).

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ops/packed/interleaved.h"

namespace martlet::ops::cpu {

/// Rows of activations are the columns of a tile: `width` of them side by side, so that whatever a block of
/// 32 columns of the matrix needs lies together. codes: [blocks][width][32]; scales: [blocks or quarters of
/// them][width].
/// side: what makes up for unsigned codes and minima, [..][width]: kScales -zero * sum of a block's
/// activations; kSubScales the same for 16 columns each; kScalesAndMinima scale * sum as f32;
/// kSubScalesAndMinima the sums of two blocks as 16-bit pairs.
struct ActivationTile {
  const int8_t* codes;
  const float* scales;
  const int32_t* side;
  int64_t width;
};

/// Where one row of activations goes: pointers to its first entries in the tile.
struct ActivationColumn {
  int8_t* codes;
  float* scales;
  int32_t* side;
  int64_t width;
};

/// Words of `side` a row of activations takes.
int64_t side_words(const ActivationForm& form, int64_t columns);

/// Factors of a chunk as f32, sixteen lanes each: scales, then minima, d and what else the form needs.
inline constexpr int64_t kChunkFactors = 17 * 16;
/// Bytes of a chunk whose codes are expanded to a byte each: vector after vector.
inline constexpr int64_t kChunkCodes = 256 * 16;
/// No tile is wider.
inline constexpr int64_t kMostTileColumns = 12;

/// Chunks of one group, expanded.
struct ExpandedChunks {
  const std::byte* codes;  ///< [chunks][kChunkCodes]
  const float* factors;    ///< [chunks][kChunkFactors]
  int64_t blocks;          ///< of 32 columns in all
};

struct Int8Kernels {
  const InterleavedFormat* format;
  int64_t most_columns;  ///< of a tile
  /// A group times one row of activations (a tile of width 1): sixteen sums.
  void (*one_column)(const std::byte* group, int64_t columns, const ActivationTile& x, float* out);
  /// A chunk's codes and factors.
  void (*expand)(const std::byte* chunk, int64_t blocks, std::byte* codes, float* factors);
  /// sums [width][16] += chunks times a tile of width i + 1, which stands at the chunks' first column.
  void (*tile[kMostTileColumns])(const ExpandedChunks& chunks, const ActivationTile& x, float* sums);
};

struct Int8KernelSet {
  std::string_view name;  ///< "AVX-512 VNNI"
  /// Rounds a row of `columns` activations to int8.
  void (*quantise)(const float* x, int64_t columns, const ActivationForm& form, const ActivationColumn& to);
  std::span<const Int8Kernels> formats;
  const Int8Kernels& of(const InterleavedFormat& format) const;
};

const Int8KernelSet& int8_kernels_portable();
const Int8KernelSet& int8_kernels_avx2();
const Int8KernelSet& int8_kernels_avx512vnni();
/// The best that this processor has.
const Int8KernelSet& int8_kernels();

}  // namespace martlet::ops::cpu
