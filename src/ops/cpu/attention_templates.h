#pragma once

// The arithmetic of attention over sixteen lanes: scores of a tile, their softmax, and the weighted sum of
// values. See attention_tiles.h for the order of sums. Include one of floats_*.h, then float_math.h, then the
// float_blocks_*.h of the same kind first.
//
// Both products are the same small matrix product: C[rows, columns] = C * scale + A[rows, depth] B[depth,
// columns] with a block of C in registers, one chain of fused multiply-adds for each element. For scores B is
// the tile's keys transposed, for values the tile's values as they are.

#include <cmath>

#include "ops/cpu/attention_keys.h"

namespace martlet::ops::cpu {
namespace {

constexpr float kNothing = -INFINITY;
constexpr int kMaxRows = 8;
constexpr int kMaxColumns = 4;  // vectors of sixteen

struct Product {
  const float* a;
  int64_t a_stride;
  const char* b;
  int64_t b_stride;  // bytes
  int64_t ahead;     // bytes from B to what will be wanted next, or 0
  int64_t depth;
  float* c;
  int64_t c_stride;
  const float* scale;  // of each row of C; null: C starts at zero
};

/// `From`: what B's elements are.
template <typename From, int kRows, int kColumns>
void multiply(const Product& product) {
  Floats sums[kRows][kColumns];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int column = 0; column < kColumns; ++column) {
      const float* c = product.c + row * product.c_stride + column * 16;
      sums[row][column] = product.scale == nullptr ? all(0.0f) : load(c) * all(product.scale[row]);
    }
  }
  const float* a = product.a;
  const char* b = product.b;
  for (int64_t k = 0; k < product.depth; ++k, ++a, b += product.b_stride) {
    Floats columns[kColumns];
    // Into the second-level cache: the first keeps too few lines on their way.
    if (product.ahead != 0) {
#pragma GCC unroll 4
      for (int64_t i = 0; i < kColumns * 16 * From::kBytes; i += 64)
        __builtin_prefetch(b + product.ahead + i, 0, 2);
    }
#pragma GCC unroll 4
    for (int column = 0; column < kColumns; ++column)
      columns[column] = From::load_sixteen(b + column * 16 * From::kBytes);
#pragma GCC unroll 8
    for (int row = 0; row < kRows; ++row) {
      const Floats factor = all(a[row * product.a_stride]);
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

using Multiply = void (*)(const Product&);

/// A block that does not fit the registers is never chosen.
template <typename From, int kRows, int kColumns>
constexpr Multiply block() {
  if constexpr (kRows * kColumns <= kBlockSums) {
    return multiply<From, kRows, kColumns>;
  } else {
    return nullptr;
  }
}

template <typename From>
constexpr Multiply kBlocks[kMaxRows][kMaxColumns] = {
    {block<From, 1, 1>(), block<From, 1, 2>(), block<From, 1, 3>(), block<From, 1, 4>()},
    {block<From, 2, 1>(), block<From, 2, 2>(), block<From, 2, 3>(), block<From, 2, 4>()},
    {block<From, 3, 1>(), block<From, 3, 2>(), block<From, 3, 3>(), block<From, 3, 4>()},
    {block<From, 4, 1>(), block<From, 4, 2>(), block<From, 4, 3>(), block<From, 4, 4>()},
    {block<From, 5, 1>(), block<From, 5, 2>(), block<From, 5, 3>(), block<From, 5, 4>()},
    {block<From, 6, 1>(), block<From, 6, 2>(), block<From, 6, 3>(), block<From, 6, 4>()},
    {block<From, 7, 1>(), block<From, 7, 2>(), block<From, 7, 3>(), block<From, 7, 4>()},
    {block<From, 8, 1>(), block<From, 8, 2>(), block<From, 8, 3>(), block<From, 8, 4>()}};

inline Multiply block_of(const TileOperand& b, int64_t rows, int64_t columns) {
  return (b.halves ? kBlocks<FromF16> : kBlocks<FromF32>)[rows - 1][columns - 1];
}

/// Vectors of a column block: as many as fit beside six rows, or beside all where those are few, and all
/// blocks nearly equal. Seven and eight rows go in halves where registers are many: rows of B are then read
/// whole, in the order of memory (docs/kernels.md, Attention over a cache).
inline int64_t block_columns(int64_t rows, int64_t vectors) {
  const bool in_halves = kBlockSums >= 16 && rows > 6;
  const int64_t beside = rows > kMaxRows ? 6 : in_halves ? (rows + 1) / 2 : rows;
  const int64_t fit = least(kMaxColumns, most(1, kBlockSums / beside));
  const int64_t blocks = (vectors + fit - 1) / fit;
  return (vectors + blocks - 1) / blocks;
}
/// Rows of a block beside so many vectors, all blocks nearly equal.
inline int64_t block_rows(int64_t rows, int64_t columns) {
  const int64_t fit = least(kMaxRows, kBlockSums / columns);
  const int64_t blocks = (rows + fit - 1) / fit;
  return (rows + blocks - 1) / blocks;
}

void score(const AttentionChunk& chunk, const Tile& tile) {
  const int64_t vectors = (tile.keys + 15) / 16;
  const int64_t columns = block_columns(tile.row_end - tile.row_begin, vectors);
  const int64_t height = block_rows(tile.row_end - tile.row_begin, columns);
  for (int64_t vector = 0; vector < vectors; vector += columns)
    for (int64_t row = tile.row_begin; row < tile.row_end; row += height) {
      const int64_t rows = least(height, tile.row_end - row);
      const int64_t seen = visible(chunk, tile, (row + rows - 1) / chunk.group).end;
      const int64_t wanted = least(columns, (seen + 15) / 16 - vector);
      if (wanted <= 0) continue;
      const int64_t ahead = row == tile.row_begin ? tile.keys_across.ahead : 0;
      block_of(tile.keys_across, rows,
               wanted)({chunk.q + row * chunk.head_dim, chunk.head_dim, tile.keys_across.at(0, vector * 16),
                        tile.keys_across.row_bytes, ahead, chunk.head_dim,
                        tile.scores + row * kTileKeys + vector * 16, kTileKeys, nullptr});
    }
}

/// x becomes e^x for x <= 0 (and a rounding error above it), the weight of a score x below the maximum. x
/// log2 e = n + r with n whole and |r| <= 1/2; 2^r is a minimax polynomial. Within 1 unit in the last place
/// of e^x for small x, and within a relative 1e-7 |x| for large ones, where the rounding of x log2 e counts.
/// e^0 is exactly 1. n is kept from -127 up, where the exponent's bits become 0: below e^-87.7 the result is
/// exactly 0. Every step is taken for all x before the next, since one x alone would wait for its own
/// results.
template <int kCount>
inline void make_weights(Floats (&x)[kCount]) {
  // Adding 1.5 * 2^23 rounds to a whole number and leaves it in the lowest bits.
  constexpr float kShift = 12582912.0f;
  constexpr float kPowers[] = {0.00015326464f, 0.0013390807f, 0.009618506f, 0.0555036f,
                               0.24022648f,    0.6931472f,    1.0f};
  Floats shifted[kCount];
  Floats power[kCount];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) x[i] = larger(all(-127.0f), x[i] * all(1.44269504f));
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) shifted[i] = x[i] + all(kShift);
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) x[i] = x[i] - (shifted[i] - all(kShift));
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) power[i] = all(kPowers[0]);
#pragma GCC unroll 8
  for (int k = 1; k < 7; ++k)
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) power[i] = multiply_add(power[i], x[i], all(kPowers[k]));
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i)
    x[i] = power[i] * floats_of(shift_left<23>(bits_of(shifted[i]) + all_ints(127)));
}
inline Floats weight_of(Floats x) {
  Floats one[1] = {x};
  make_weights(one);
  return one[0];
}

/// A score after scale, cap and bias.
inline Floats shaped(const AttentionChunk& chunk, Floats score, const float* bias, int64_t count) {
  score = score * all(chunk.scale);
  if (chunk.soft_cap > 0) score = all(chunk.soft_cap) * tanh(score / all(chunk.soft_cap));
  if (bias != nullptr) score = score + (count >= 16 ? load(bias) : load(bias, count));
  return score;
}

/// x in lanes [begin, end), y in the others.
inline Floats select_range(int64_t begin, int64_t end, Floats x, Floats y) {
  alignas(64) static constexpr float kNumbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Floats lane = load(kNumbers);
  const Floats below_end = select(lane < all(static_cast<float>(end)), x, y);
  return select(lane < all(static_cast<float>(begin)), y, below_end);
}

/// One row's products become scores, -inf where the row does not see; gives the largest. kWhole: the row sees
/// the whole tile.
template <bool kWhole>
inline float shape_row(const AttentionChunk& chunk, const Tile& tile, const Visible& seen, float* scores,
                       const float* bias) {
  Floats peak = all(kNothing);
#pragma GCC unroll 4
  for (int64_t at = 0; at < kTileKeys; at += 16) {
    Floats value = all(kNothing);
    if (kWhole || at < seen.end) {
      value = shaped(chunk, load(scores + at), bias == nullptr ? nullptr : bias + at, tile.keys - at);
      if (!kWhole) value = select_range(seen.begin - at, seen.end - at, value, all(kNothing));
    }
    store(scores + at, value);
    peak = larger(peak, value);
  }
  return largest_lane(peak);
}

void shape_rows(const AttentionChunk& chunk, const Tile& tile) {
  for (int64_t row = tile.row_begin; row < tile.row_end;) {
    const int64_t query = row / chunk.group;
    const Visible seen = visible(chunk, tile, query);
    const bool whole = seen.begin == 0 && seen.end == kTileKeys;
    const float* bias =
        chunk.bias == nullptr ? nullptr : chunk.bias + query * chunk.bias_query_stride + tile.begin;
    for (int64_t head = 0; head < chunk.group; ++head, ++row) {
      float* scores = tile.scores + row * kTileKeys;
      tile.peaks[row] = whole ? shape_row<true>(chunk, tile, seen, scores, bias)
                              : shape_row<false>(chunk, tile, seen, scores, bias);
      if (bias != nullptr) bias += chunk.bias_head_stride;
    }
  }
}

/// Scores of kRows rows become weights exp(score - base), and tile.peaks their sums.
template <int kRows>
inline void weigh_rows(const Tile& tile, int64_t row) {
  constexpr int kVectors = kTileKeys / 16;
  Floats x[kRows * kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kRows * kVectors; ++i)
    x[i] = load(tile.scores + row * kTileKeys + i * 16) - all(tile.bases[row + i / kVectors]);
  make_weights(x);
#pragma GCC unroll 8
  for (int i = 0; i < kRows * kVectors; ++i) store(tile.scores + row * kTileKeys + i * 16, x[i]);
#pragma GCC unroll 2
  for (int i = 0; i < kRows; ++i)
    tile.peaks[row + i] = sum((x[4 * i] + x[4 * i + 1]) + (x[4 * i + 2] + x[4 * i + 3]));
}

/// The softmax of the tile: scores to weights, maxima and sums moved on, and what the accumulators are to be
/// multiplied by.
void weigh(const AttentionChunk& chunk, const Tile& tile) {
  const AttentionState& state = chunk.state;
  shape_rows(chunk, tile);
  for (int64_t row = tile.row_begin; row < tile.row_end; row += 16) {
    const int64_t count = least(16, tile.row_end - row);
    const Floats before = load(state.maximum + row, count);
    const Floats maximum = larger(before, load(tile.peaks + row, count));
    // With nothing seen yet the maximum is -inf; differences are then taken from 0, which keeps weights at 0.
    const Floats base = select(maximum == all(kNothing), all(0.0f), maximum);
    store(state.maximum + row, maximum, count);
    store(tile.bases + row, base, count);
    store(tile.correction + row, weight_of(before - base), count);
  }
  constexpr int kTogether = kBlockSums >= 16 ? 2 : 1;
  int64_t row = tile.row_begin;
  for (; row + kTogether <= tile.row_end; row += kTogether) weigh_rows<kTogether>(tile, row);
  if (row < tile.row_end) weigh_rows<1>(tile, row);
  for (row = tile.row_begin; row < tile.row_end; row += 16) {
    const int64_t count = least(16, tile.row_end - row);
    const Floats kept = load(state.sum + row, count) * load(tile.correction + row, count);
    store(state.sum + row, kept + load(tile.peaks + row, count), count);
  }
}

void accumulate(const AttentionChunk& chunk, const Tile& tile) {
  const AttentionState& state = chunk.state;
  const int64_t vectors = state.pitch / 16;
  const int64_t columns = block_columns(tile.row_end - tile.row_begin, vectors);
  const int64_t height = block_rows(tile.row_end - tile.row_begin, columns);
  for (int64_t vector = 0; vector < vectors; vector += columns)
    for (int64_t row = tile.row_begin; row < tile.row_end; row += height) {
      const int64_t rows = least(height, tile.row_end - row);
      const int64_t begin = visible(chunk, tile, row / chunk.group).begin;
      const int64_t end = visible(chunk, tile, (row + rows - 1) / chunk.group).end;
      const int64_t ahead = row == tile.row_begin ? tile.values.ahead : 0;
      block_of(tile.values, rows, least(columns, vectors - vector))(
          {tile.scores + row * kTileKeys + begin, kTileKeys, tile.values.at(begin, vector * 16),
           tile.values.row_bytes, ahead, end - begin, state.accumulator + row * state.pitch + vector * 16,
           state.pitch, tile.correction + row});
    }
}

/// The rows that see some of the tile's keys: both ends of what a query sees grow with the query, so they are
/// one range.
void find_rows(const AttentionChunk& chunk, Tile& tile) {
  int64_t first = 0;
  int64_t end = chunk.queries;
  while (first < end && visible(chunk, tile, first).end <= 0) ++first;
  while (end > first && visible(chunk, tile, end - 1).begin >= tile.keys) --end;
  tile.row_begin = first * chunk.group;
  tile.row_end = end * chunk.group;
}

void attend(const AttentionChunk& chunk) {
  const AttentionState& state = chunk.state;
  for (int64_t row = 0; row < state.rows; ++row) {
    state.maximum[row] = kNothing;
    state.sum[row] = 0;
  }
  for (int64_t i = 0; i < state.rows * state.pitch; i += 16) store(state.accumulator + i, all(0.0f));

  Tile tile{};
  tile.scores = chunk.scratch;
  tile.correction = tile.scores + kTileKeys * state.rows;
  tile.bases = tile.correction + rounded_to_lanes(state.rows);
  tile.peaks = tile.bases + rounded_to_lanes(state.rows);
  float* transposed = tile.peaks + rounded_to_lanes(state.rows);
  float* wide = transposed + kTileKeys * (chunk.head_dim + 1);
  float* scales = wide + kTileKeys * state.pitch;
  for (tile.begin = chunk.key_begin; tile.begin < chunk.key_end; tile.begin += kTileKeys) {
    tile.keys = least(kTileKeys, chunk.key_end - tile.begin);
    find_rows(chunk, tile);
    if (tile.row_begin >= tile.row_end) continue;
    if (chunk.key_tiles != nullptr)
      prepare_tile(chunk, tile, transposed, wide, scales);
    else
      prepare_rows(chunk, tile, transposed, wide);
    score(chunk, tile);
    weigh(chunk, tile);
    accumulate(chunk, tile);
  }
}

void merge(const AttentionState& total, const AttentionState& part) {
  for (int64_t row = 0; row < total.rows; ++row) {
    const float maximum = total.maximum[row] < part.maximum[row] ? part.maximum[row] : total.maximum[row];
    const float base = maximum == kNothing ? 0.0f : maximum;
    const Floats kept = weight_of(all(total.maximum[row] - base));
    const Floats added = weight_of(all(part.maximum[row] - base));
    float* to = total.accumulator + row * total.pitch;
    const float* from = part.accumulator + row * part.pitch;
    for (int64_t i = 0; i < total.pitch; i += 16)
      store(to + i, multiply_add(load(to + i), kept, load(from + i) * added));
    const Floats sum = multiply_add(all(total.sum[row]), kept, all(part.sum[row]) * added);
    store(total.sum + row, sum, 1);
    total.maximum[row] = maximum;
  }
}

void finish(const AttentionState& state) {
  for (int64_t row = 0; row < state.rows; ++row) {
    float* values = state.accumulator + row * state.pitch;
    const Floats sum = all(state.sum[row] == 0 ? 1.0f : state.sum[row]);
    // Adding zero turns -0 into 0: its sign would tell whether hidden keys were skipped or weighed by 0.
    for (int64_t i = 0; i < state.pitch; i += 16) store(values + i, load(values + i) / sum + all(0.0f));
  }
}

}  // namespace
}  // namespace martlet::ops::cpu
