#pragma once

// The inner loops of products with int8 activations, one set for each instruction set and interleaved format
// (ops/packed/interleaved.h, which says how weights lie).
//
// Every output is one chain of operations in one order, whatever the number of activations' rows, threads or
// the instruction set, so that all kernels give the same bits. Sums of codes times activations are exact
// integers. A block of 32 columns (kScales, kScalesAndMinima) then adds, with one fused multiply-add each,
//   integer sum * (weight scale * activation scale), and minimum * sum of the activations.
// Formats with sub-scales add up integer sum * (sub-scale * d) over 128 columns first, in the order of
// columns
//   and with one fused multiply-add each, from integer sum of the minima * -dmin on where there are minima;
//   that times the activation scale is added.
// Where an activation has two codes, every integer sum is 255 * the first ones' + the second ones'.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ops/packed/interleaved.h"

namespace martlet::ops::cpu {

/// Rows of activations are the columns of a tile: `width` of them side by side, so that whatever a block of
/// 32 columns of the matrix needs lies together. codes: [blocks][width][1 or 2 codes][32]; scales: [blocks or
/// quarters of them][width].
/// side: what makes up for unsigned codes and minima, [..][width][1 or 2 codes]: kScales -zero * sum of a
/// block's codes; kSubScales the same for 16 columns each; kScalesAndMinima scale * sum as f32, at the first
/// code; kSubScalesAndMinima three words for four blocks: their sums s as 16-bit pairs, two and two, then
/// -(s0 s2 + s1 s3), with which a tile multiplies minima by half as many products.
/// pairs: of tiles that multiply columns in pairs (linear_int8_pairs.h), [blocks][width], codes being moved;
/// else null.
struct ActivationTile {
  const int8_t* codes;
  const float* scales;
  const int32_t* side;
  const int32_t* pairs;
  int64_t width;
};

/// Where one row of activations goes: pointers to its first entries in the tile.
struct ActivationColumn {
  int8_t* codes;
  float* scales;
  int32_t* side;
  int32_t* pairs;
  int64_t width;
};

/// Words of `side` a row of activations takes for each code.
int64_t side_words(const ActivationForm& form, int64_t columns);

/// Factors of a chunk as f32, sixteen lanes each: scales, then minima and what else the form needs; where
/// columns are multiplied in pairs, an integer for each block from kPairFactors on.
inline constexpr int64_t kPairFactors = 16 * 16;
inline constexpr int64_t kChunkFactors = kPairFactors + 16 * kChunkBlocks;
/// No tile is wider, codes counted.
inline constexpr int64_t kMostTileColumns = 16;

/// Neighbouring chunks of one group.
struct ChunkRun {
  const std::byte* chunks;
  const float* factors;  ///< [chunks][kChunkFactors]
  int64_t blocks;        ///< of 32 columns in all
};

/// sums [width][16] += chunks times a tile of some width, which stands at the chunks' first column.
using Int8Tile = void (*)(const ChunkRun& run, const ActivationTile& x, float* sums);

/// For activations of one code, or of two.
struct Int8Loops {
  int64_t most_columns;  ///< of a tile
  /// sums [16] = a group times one row of activations, which lies in one piece.
  void (*row)(const std::byte* group, int64_t columns, const ActivationTile& x, float* sums);
  Int8Tile tile[kMostTileColumns];  ///< of width i + 1
};

struct Int8Kernels {
  const InterleavedFormat* format;
  void (*read_factors)(const std::byte* chunk, int64_t blocks, float* factors);
  Int8Loops loops[2];

  const Int8Loops& of(const ActivationForm& form) const { return loops[form.codes - 1]; }
};

/// Moves a row's codes, which are rounded, and writes `pairs`.
using MoveInt8Codes = void (*)(int64_t columns, const ActivationForm& form, const ActivationColumn& codes);

/// Loops for many rows of activations of one code: what many tiles need of a chunk is made once.
struct ManyRowsInt8Kernels {
  const InterleavedFormat* format;
  /// A chunk's factors, and its codes a byte each, [blocks][8 vectors][64], which stand for `chunks` of a
  /// ChunkRun.
  void (*read)(const std::byte* chunk, int64_t blocks, float* factors, std::byte* codes);
  MoveInt8Codes move;                   ///< null where columns are not multiplied in pairs
  int64_t least_columns, most_columns;  ///< of a tile
  Int8Tile tile[kMostTileColumns];      ///< of width i + 1
};

struct Int8KernelSet {
  std::string_view name;  ///< "AVX-512 VNNI"
  /// Rounds a row of `columns` activations to codes.
  void (*quantise)(const float* x, int64_t columns, const ActivationForm& form, const ActivationColumn& to);
  std::span<const Int8Kernels> formats;
  std::span<const ManyRowsInt8Kernels> many = {};  ///< of some formats
  /// Before and after a thread's loops for many rows; may be null.
  void (*begin_many)() = nullptr;
  void (*end_many)() = nullptr;
  const Int8Kernels& of(const InterleavedFormat& format) const;
  /// Null where there is none, or no tiles so narrow as so few rows would take.
  const ManyRowsInt8Kernels* many_of(const InterleavedFormat& format, int64_t tokens) const;
};

const Int8KernelSet& int8_kernels_portable();
const Int8KernelSet& int8_kernels_avx2();
/// For Intel's processors.
const Int8KernelSet& int8_kernels_avx512vnni();
/// With many rows' columns multiplied in pairs (linear_int8_pairs.h), for others.
const Int8KernelSet& int8_kernels_avx512vnni_in_pairs();
const Int8KernelSet& int8_kernels_amx();
/// The best that this processor has.
const Int8KernelSet& int8_kernels();

}  // namespace martlet::ops::cpu
