#pragma once

// Tiles of many rows on AMX INT8 (amx_tiles.h): one instruction multiplies up to sixteen rows of activations
// by a block of a group. Codes that were taken out of their planes, [8 vectors][16 rows][4 columns], are its
// second operand as they lie, a tile's codes, [width][32], the first, and the product is [width][16 rows].
// Sums are the same integers as those of other loops, so that results are the same bits.
//
// It takes sixteen cycles and answers after fifty, and registers of tiles are not renamed: four products are
// under way at a time. Beside it vectors of 512 bits run on one pipe in place of two (measured,
// docs/kernels.md), so that products are made floats only when four are stored.

#include <algorithm>
#include <utility>

#include "ops/cpu/amx_tiles.h"
#include "ops/cpu/linear_int8_tiles.h"

namespace martlet::ops::cpu {
namespace {

constexpr int kAmxColumns = 16;
/// No tile of two dozen rows or more is narrower. Of rows behind a narrower tile's the products are garbage
/// that nobody reads.
constexpr int kLeastAmxColumns = 11;
/// Blocks whose products are under way at a time: those of half a chunk.
constexpr int kAmxBlocks = 4;
static_assert(2 * kAmxBlocks == kChunkBlocks);

using BlockProduct = int32_t[kAmxColumns * kRows];

/// Tile registers: products 0 to 3, then codes and weights in turn.
constexpr int kCodesTile = 4, kWeightsTile = 5;

constexpr TileShapes kTileShapes{.row_bytes = {64, 64, 64, 64, 32, 64, 32, 64},
                                 .rows = {16, 16, 16, 16, 16, 8, 16, 8}};

/// Product kProduct = sixteen rows of signed codes times a block of signed ones.
template <int kProduct>
[[gnu::always_inline]] inline void multiply_block(const int8_t* codes, const std::byte* block) {
  constexpr int kCodes = kCodesTile + 2 * (kProduct % 2), kWeights = kWeightsTile + 2 * (kProduct % 2);
  load_tile<kWeights>(block, kVectorBytes);
  load_tile<kCodes>(codes, kCodesBlock);
  clear_tile<kProduct>();
  multiply_tiles<kProduct, kCodes, kWeights>();
}

template <int kProduct>
[[gnu::always_inline]] inline void store_product(BlockProduct (&products)[kAmxBlocks]) {
  store_tile<kProduct>(products[kProduct], kVectorBytes);
}

/// The products of four blocks with rows of activations, kWidth of which are a tile's. `meanwhile` is called
/// where the last ones are waited for.
template <int kWidth, typename Meanwhile>
[[gnu::always_inline]] inline void multiply_blocks(const int8_t* codes, const std::byte* blocks,
                                                   BlockProduct (&products)[kAmxBlocks],
                                                   const Meanwhile& meanwhile) {
  unrolled<kAmxBlocks>([&](auto block) __attribute__((always_inline)) {
    multiply_block<block.value>(codes + block.value * kCodesBlock * kWidth,
                                blocks + block.value * ExpandedCodes::kBytes);
    if constexpr (block.value >= 2) store_product<block.value - 2>(products);
  });
  meanwhile();
  store_product<kAmxBlocks - 2>(products);
  store_product<kAmxBlocks - 1>(products);
}

template <int kWidth>
[[gnu::always_inline]] inline void load_product(const BlockProduct& product, Ints (&sums)[kWidth]) {
  unrolled<kWidth>([&](auto c) { sums[c.value] = load_ints(product + kRows * c.value); });
}

/// How a form's chunks are multiplied.
template <typename Form>
struct AmxOf {
  template <int kWidth>
  [[gnu::always_inline]] static void add_chunks(const ChunkRun& run, const ActivationTile& x, float* sums) {
    alignas(64) BlockProduct products[kAmxBlocks];
    Lanes totals[kWidth];
    unrolled<kWidth>([&](auto c) { totals[c.value] = load(sums + kRows * c.value); });
    Cursor at{run.chunks, x.codes, x.scales, x.side};
    for (int64_t first = 0; first < run.blocks; first += kAmxBlocks) {
      const int64_t count = std::min<int64_t>(kAmxBlocks, run.blocks - first);
      if (count == kAmxBlocks)
        multiply_blocks<kWidth>(at.codes, at.planes, products, [] {});
      else
        multiply_one_by_one<kWidth>(at.codes, at.planes, count, products);
      const float* factors = run.factors + first / kChunkBlocks * kChunkFactors;
      for (int64_t block = 0; block < count; ++block) {
        Ints block_sums[kWidth];
        load_product(products[block], block_sums);
        Form::template add_block<1>(factors, first % kChunkBlocks + block, at, block_sums, totals);
      }
      at.planes += count * ExpandedCodes::kBytes;
      at.codes += count * kCodesBlock * kWidth;
    }
    unrolled<kWidth>([&](auto c) { store(sums + kRows * c.value, totals[c.value]); });
  }

  /// Of the last blocks, fewer than four.
  template <int kWidth>
  static void multiply_one_by_one(const int8_t* codes, const std::byte* blocks, int64_t count,
                                  BlockProduct (&products)[kAmxBlocks]) {
    for (int64_t block = 0; block < count; ++block) {
      multiply_block<0>(codes + block * kCodesBlock * kWidth, blocks + block * ExpandedCodes::kBytes);
      store_tile<0>(products[block], kVectorBytes);
    }
  }
};

template <>
struct AmxOf<SubScalesAndMinimaForm> {
  template <int kWidth>
  [[gnu::always_inline]] static void add_chunks(const ChunkRun& run, const ActivationTile& x, float* sums) {
    alignas(64) BlockProduct products[kAmxBlocks];
    Cursor at{run.chunks, x.codes, x.scales, x.side};
    for (int64_t half = 0; half < run.blocks / kAmxBlocks; ++half) {
      const float* factors = run.factors + half / 2 * kChunkFactors;
      Lanes scaled[kWidth];
      multiply_blocks<kWidth>(
          at.codes, at.planes, products, [&]() __attribute__((always_inline)) {
            SubScalesAndMinimaForm::scale_minima<1>(factors, half % 2, at, scaled);
          });
      for (int64_t block = 0; block < kAmxBlocks; ++block) {
        Ints block_sums[kWidth];
        load_product(products[block], block_sums);
        add_scaled<false, 1>(block_sums, load(factors + kRows * (half % 2 * kAmxBlocks + block)), scaled);
      }
      unrolled<kWidth>([&](auto c) {
        float* total = sums + kRows * c.value;
        store(total, multiply_add(scaled[c.value], all(at.scales[c.value]), load(total)));
      });
      at.planes += kAmxBlocks * ExpandedCodes::kBytes;
      at.codes += kAmxBlocks * kCodesBlock * kWidth;
      at.scales += kWidth;
      at.side += 3 * kWidth;
    }
  }
};

template <typename Form, int kWidth>
[[gnu::flatten]] void amx_tile(const ChunkRun& run, const ActivationTile& x, float* sums) {
  AmxOf<Form>::template add_chunks<kWidth>(run, x, sums);
}

/// Codes less their zero, a signed byte each.
template <typename Form, typename Codes, const InterleavedFormat& kFormat, int kZero>
void read_signed_chunk(const std::byte* chunk, int64_t blocks, float* factors, std::byte* codes) {
  Form::read_factors(chunk, blocks, factors);
  const std::byte* planes = chunk + kFormat.header_bytes(blocks);
  for (int64_t block = 0; block < blocks; ++block, planes += Codes::kBytes, codes += ExpandedCodes::kBytes)
    unrolled<kVectors>([&](auto j) {
      const Bytes unsigned_codes = Codes::template at<j.value>(planes);
      store_bytes(codes + j.value * kVectorBytes, add_bytes(unsigned_codes, all_bytes(-kZero)));
    });
}

template <typename Form, typename Codes, const InterleavedFormat& kFormat, int kZero, int... kIndices>
constexpr ManyRowsInt8Kernels amx_loops(std::integer_sequence<int, kIndices...>) {
  ManyRowsInt8Kernels many{
      &kFormat, read_signed_chunk<Form, Codes, kFormat, kZero>, nullptr, kLeastAmxColumns, kAmxColumns, {}};
  ((many.tile[kLeastAmxColumns - 1 + kIndices] = amx_tile<Form, kLeastAmxColumns + kIndices>), ...);
  return many;
}

template <typename Form, typename Codes, const InterleavedFormat& kFormat, int kZero>
constexpr ManyRowsInt8Kernels amx_loops() {
  return amx_loops<Form, Codes, kFormat, kZero>(
      std::make_integer_sequence<int, kAmxColumns - kLeastAmxColumns + 1>());
}

}  // namespace
}  // namespace martlet::ops::cpu
