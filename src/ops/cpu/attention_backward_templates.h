#pragma once

// The arithmetic of attention's backward over sixteen lanes. Include one of floats_*.h, then float_math.h,
// then the float_blocks_*.h of the same kind first.
//
// With weights p = exp(score - log_sum), which are computed again, and d = the sum of dy times the result:
// dvalue = p^T dy, dp = dy value^T, dscore = p (dp - d), dq = dscore key, dkey = dscore^T q. All five
// products of a tile are C += A B with a block of C in registers, one chain of fused multiply-adds for each
// element. A word is what one step of a chain takes of a row of A and a column of B: an f32, or a pair of
// bf16.

#include "ops/cpu/attention_backward_tiles.h"
#include "ops/cpu/attention_tiles.h"

namespace martlet::ops::cpu {
namespace {

inline int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}
inline int64_t most(int64_t a, int64_t b) {
  return a < b ? b : a;
}

inline Floats load_words(const float* from) {
  return load(from);
}
inline Floats all_words(const float* from) {
  return all(*from);
}

/// C[rows, columns] (+)= A B. A's word (row, k) is a[row * a_row + k * a_step]: rows as they lie, or columns
/// of a transposed tile. `columns` is a multiple of 16.
template <typename Word>
struct Product {
  const Word* a;
  int64_t a_row, a_step;
  const Word* b;
  int64_t b_stride;
  int64_t rows, columns, depth;
  float* c;
  int64_t c_stride;
  bool add;
};

constexpr int kMaxRows = 8;
constexpr int kMaxColumns = 4;  // vectors of sixteen

template <typename Word, int kRows, int kColumns>
void multiply_block(const Product<Word>& product) {
  Floats sums[kRows][kColumns];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int column = 0; column < kColumns; ++column)
      sums[row][column] = product.add ? load(product.c + row * product.c_stride + column * 16) : all(0.0f);
  }
  const Word* a = product.a;
  const Word* b = product.b;
  for (int64_t k = 0; k < product.depth; ++k, a += product.a_step, b += product.b_stride) {
    decltype(load_words(b)) columns[kColumns];
#pragma GCC unroll 4
    for (int column = 0; column < kColumns; ++column) columns[column] = load_words(b + column * 16);
#pragma GCC unroll 8
    for (int row = 0; row < kRows; ++row) {
      const auto factor = all_words(a + row * product.a_row);
#pragma GCC unroll 4
      for (int column = 0; column < kColumns; ++column)
        sums[row][column] = multiply_add(factor, columns[column], sums[row][column]);
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int column = 0; column < kColumns; ++column)
      store(product.c + row * product.c_stride + column * 16, sums[row][column]);
  }
}

template <typename Word>
using MultiplyBlock = void (*)(const Product<Word>&);

/// A block that does not fit the registers is never chosen.
template <typename Word, int kRows, int kColumns>
constexpr MultiplyBlock<Word> product_block() {
  if constexpr (kRows * kColumns <= kBlockSums) {
    return multiply_block<Word, kRows, kColumns>;
  } else {
    return nullptr;
  }
}

template <typename Word, int kRows>
constexpr void fill_blocks(MultiplyBlock<Word> (&blocks)[kMaxRows][kMaxColumns]) {
  blocks[kRows - 1][0] = product_block<Word, kRows, 1>();
  blocks[kRows - 1][1] = product_block<Word, kRows, 2>();
  blocks[kRows - 1][2] = product_block<Word, kRows, 3>();
  blocks[kRows - 1][3] = product_block<Word, kRows, 4>();
  if constexpr (kRows > 1) fill_blocks<Word, kRows - 1>(blocks);
}

template <typename Word>
struct Blocks {
  MultiplyBlock<Word> at[kMaxRows][kMaxColumns] = {};
  constexpr Blocks() { fill_blocks<Word, kMaxRows>(at); }
};
template <typename Word>
constexpr Blocks<Word> kProductBlocks;

template <typename Word>
void multiply_tile(const Product<Word>& product) {
  const int64_t vectors = product.columns / 16;
  const int64_t fit = least(kMaxColumns, most(1, kBlockSums / least(most(product.rows, 1), 6)));
  const int64_t blocks = (vectors + fit - 1) / fit;
  const int64_t width = blocks == 0 ? 1 : (vectors + blocks - 1) / blocks;
  const int64_t height = least(kMaxRows, kBlockSums / width);
  for (int64_t vector = 0; vector < vectors; vector += width)
    for (int64_t row = 0; row < product.rows; row += height) {
      Product<Word> block = product;
      block.a += row * product.a_row;
      block.b += vector * 16;
      block.c += row * product.c_stride + vector * 16;
      kProductBlocks<Word>.at[least(height, product.rows - row) - 1][least(width, vectors - vector) - 1](
          block);
    }
}

/// Keys [key, key + keys) against rows [row, row + rows).
struct BackwardTile {
  int64_t key, keys, row, rows;
  float* weights;  // [rows, kBackwardTile]
  float* dscores;  // [rows, kBackwardTile]
};

struct Lanes {
  int64_t begin, end;  // of the keys that a row sees, counted from the tile's first
};
inline Lanes seen_of(const AttentionBackwardUnit& unit, const BackwardTile& tile, int64_t row) {
  const int64_t position = unit.first_position + row / unit.group;
  if (position < 0) return {0, 0};
  return {most(0, visible_begin(position, unit.window) - tile.key),
          least(tile.keys, visible_end(position, unit.window, unit.causal, unit.keys) - tile.key)};
}

inline Floats within(const Lanes& lanes, int64_t at, Floats value) {
  if (lanes.begin <= at && at + 16 <= lanes.end) return value;
  alignas(64) static constexpr float kNumbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Floats lane = load(kNumbers);
  const Floats below = select(lane < all(static_cast<float>(lanes.end - at)), value, all(0.0f));
  return select(lane < all(static_cast<float>(lanes.begin - at)), all(0.0f), below);
}

/// Products become weights, and the gradients of weights become those of products (scale included). Both are
/// 0 where the row does not see.
void make_gradients(const AttentionBackwardUnit& unit, const BackwardTile& tile) {
  for (int64_t r = 0; r < tile.rows; ++r) {
    const int64_t row = tile.row + r;
    const Lanes lanes = seen_of(unit, tile, row);
    float* weights = tile.weights + r * kBackwardTile;
    float* dscores = tile.dscores + r * kBackwardTile;
    const int64_t query = row / unit.group;
    const int64_t head = row % unit.group;
    const float* bias = unit.bias == nullptr ? nullptr
                                             : unit.bias + query * unit.bias_query_stride +
                                                   head * unit.bias_head_stride + tile.key;
    float* dbias = unit.dbias == nullptr ? nullptr
                                         : unit.dbias + query * unit.dbias_query_stride +
                                               head * unit.dbias_head_stride + tile.key;
    const Floats log_sum = all(unit.log_sums[row]);
    const Floats delta = all(unit.deltas[row]);
    for (int64_t at = 0; at < kBackwardTile; at += 16) {
      Floats score = load(weights + at) * all(unit.scale);
      Floats slope = all(unit.scale);
      if (unit.soft_cap > 0) {
        const Floats bent = tanh(score / all(unit.soft_cap));
        score = all(unit.soft_cap) * bent;
        slope = slope * (all(1.0f) - bent) * (all(1.0f) + bent);
      }
      const int64_t some = least(16, tile.keys - at);
      if (bias != nullptr && some > 0) score = score + (some == 16 ? load(bias + at) : load(bias + at, some));
      const Floats weight = within(lanes, at, exp(score - log_sum));
      const Floats dscore = within(lanes, at, weight * (load(dscores + at) - delta));
      store(weights + at, weight);
      store(dscores + at, dscore * slope);
      if (dbias != nullptr && some > 0)
        some == 16 ? store(dbias + at, dscore) : store(dbias + at, dscore, some);
    }
  }
}

/// Whether any of the tile's rows sees any of its keys. What a row sees moves on with its query, both ends of
/// it.
bool sees_any(const AttentionBackwardUnit& unit, const BackwardTile& tile) {
  for (int64_t row = tile.row; row < tile.row + tile.rows; row += unit.group) {
    const Lanes lanes = seen_of(unit, tile, row);
    if (lanes.begin < lanes.end) return true;
  }
  const Lanes last = seen_of(unit, tile, tile.row + tile.rows - 1);
  return last.begin < last.end;
}

/// Calls prepare(tile) for every tile of keys, and run(tile) for every tile of rows that sees any of them.
template <typename Prepare, typename RunTile>
void for_tiles(const AttentionBackwardUnit& unit, BackwardTile tile, Prepare prepare, RunTile run) {
  const int64_t rows = unit.queries * unit.group;
  for (tile.key = 0; tile.key < unit.keys; tile.key += kBackwardTile) {
    tile.keys = least(kBackwardTile, unit.keys - tile.key);
    prepare(tile);
    for (tile.row = 0; tile.row < rows; tile.row += kBackwardTile) {
      tile.rows = least(kBackwardTile, rows - tile.row);
      if (sees_any(unit, tile)) run(tile);
    }
  }
}

}  // namespace
}  // namespace martlet::ops::cpu
