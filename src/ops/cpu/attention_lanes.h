#pragma once

// The arithmetic of attention over 16 lanes: scores of a tile, their softmax, and the weighted sum of values.
// See attention_tiles.h for the order of sums. Include one of float_lanes_*.h first.
//
// Both products are the same small matrix product: C[rows, columns] = C * scale + A[rows, depth] B[depth,
// columns] with a block of C in registers, one chain of fused multiply-adds for each element. For scores B is
// the tile's keys transposed, for values the tile's values as they are.

#include <cmath>

#include "ops/cpu/attention_tiles.h"
#include "ops/cpu/lanes_math.h"

namespace martlet::ops {
namespace {

using cpu::AttentionChunk;
using cpu::AttentionFinish;
using cpu::AttentionState;
using cpu::kTileKeys;
using cpu::rounded_to_lanes;

constexpr float kNothing = -INFINITY;
constexpr int kMaxRows = 8;
constexpr int kMaxColumns = 4;  // vectors of 16

inline int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}
inline int64_t most(int64_t a, int64_t b) {
  return a < b ? b : a;
}

struct Product {
  const float* a;
  int64_t a_stride;
  const float* b;
  int64_t b_stride;
  int64_t depth;
  float* c;
  int64_t c_stride;
  const float* scale;  // of each row of C; null: C starts at zero
};

template <int kRows, int kColumns>
void multiply(const Product& product) {
  Lanes sums[kRows][kColumns];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int column = 0; column < kColumns; ++column) {
      const float* c = product.c + row * product.c_stride + column * kLanes;
      sums[row][column] = product.scale == nullptr ? zero() : load(c) * broadcast(product.scale[row]);
    }
  }
  const float* a = product.a;
  const float* b = product.b;
  for (int64_t k = 0; k < product.depth; ++k, ++a, b += product.b_stride) {
    Lanes columns[kColumns];
#pragma GCC unroll 4
    for (int column = 0; column < kColumns; ++column) columns[column] = load(b + column * kLanes);
#pragma GCC unroll 8
    for (int row = 0; row < kRows; ++row) {
      const Lanes factor = broadcast(a[row * product.a_stride]);
#pragma GCC unroll 4
      for (int column = 0; column < kColumns; ++column)
        sums[row][column] = multiply_add(factor, columns[column], sums[row][column]);
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int column = 0; column < kColumns; ++column)
      store(product.c + row * product.c_stride + column * kLanes, sums[row][column]);
  }
}

using Multiply = void (*)(const Product&);

/// A block that does not fit the registers is never chosen.
template <int kRows, int kColumns>
constexpr Multiply block() {
  if constexpr (kRows * kColumns <= kBlockLanes) {
    return multiply<kRows, kColumns>;
  } else {
    return nullptr;
  }
}

constexpr Multiply kBlocks[kMaxRows][kMaxColumns] = {
    {block<1, 1>(), block<1, 2>(), block<1, 3>(), block<1, 4>()},
    {block<2, 1>(), block<2, 2>(), block<2, 3>(), block<2, 4>()},
    {block<3, 1>(), block<3, 2>(), block<3, 3>(), block<3, 4>()},
    {block<4, 1>(), block<4, 2>(), block<4, 3>(), block<4, 4>()},
    {block<5, 1>(), block<5, 2>(), block<5, 3>(), block<5, 4>()},
    {block<6, 1>(), block<6, 2>(), block<6, 3>(), block<6, 4>()},
    {block<7, 1>(), block<7, 2>(), block<7, 3>(), block<7, 4>()},
    {block<8, 1>(), block<8, 2>(), block<8, 3>(), block<8, 4>()}};

/// Vectors of a column block: as many as fit beside six rows (fewer rows: more), and all blocks nearly equal.
inline int64_t block_columns(int64_t rows, int64_t vectors) {
  const int64_t fit = least(kMaxColumns, most(1, kBlockLanes / least(rows, 6)));
  const int64_t blocks = (vectors + fit - 1) / fit;
  return (vectors + blocks - 1) / blocks;
}

/// One tile's keys, and the rows of the chunk that see any of them.
struct Tile {
  int64_t begin, keys;         // the first key, and how many
  int64_t row_begin, row_end;  // rows that see some
  float* transposed;           // [head_dim, kTileKeys]
  const float* values;         // [keys, value_stride], f32
  int64_t value_stride;
  float* scores;      // [rows, kTileKeys]: then weights
  float* correction;  // [rows]: what sums so far are multiplied by
  float* sums;        // [rows]: of the tile's weights
};

/// The keys of a tile that a query sees, counted from the tile's first.
struct Visible {
  int64_t begin, end;
};
inline Visible visible(const AttentionChunk& chunk, const Tile& tile, int64_t query) {
  const int64_t position = chunk.first_position + query;
  return {
      most(0, cpu::visible_begin(position, chunk.window) - tile.begin),
      least(tile.keys, cpu::visible_end(position, chunk.window, chunk.causal, chunk.key_count) - tile.begin)};
}

template <typename T>
void transpose_keys(const AttentionChunk& chunk, const Tile& tile) {
  const T* keys = static_cast<const T*>(chunk.keys) + tile.begin * chunk.key_stride;
  for (int64_t key = 0; key < tile.keys; key += kLanes) {
    const int64_t count = least(kLanes, tile.keys - key);
    for (int64_t i = 0; i < chunk.head_dim; i += kLanes) {
      const int64_t dims = least(kLanes, chunk.head_dim - i);
      Lanes rows[kLanes];
      if (dims == kLanes && count == kLanes) {
#pragma GCC unroll 16
        for (int64_t row = 0; row < kLanes; ++row)
          rows[row] = load(keys + (key + row) * chunk.key_stride + i);
      } else {
        for (int64_t row = 0; row < kLanes; ++row)
          rows[row] = row < count ? load(keys + (key + row) * chunk.key_stride + i, dims) : zero();
      }
      transpose(rows);
      for (int64_t row = 0; row < dims; ++row)
        store(tile.transposed + (i + row) * kTileKeys + key, rows[row]);
    }
  }
}

template <typename T>
void widen_values(const AttentionChunk& chunk, const Tile& tile, float* wide, int64_t pitch) {
  const T* values = static_cast<const T*>(chunk.values) + tile.begin * chunk.value_stride;
  for (int64_t key = 0; key < tile.keys; ++key)
    for (int64_t i = 0; i < chunk.value_dim; i += kLanes) {
      const T* from = values + key * chunk.value_stride + i;
      const int64_t count = chunk.value_dim - i;
      store(wide + key * pitch + i, count >= kLanes ? load(from) : load(from, count));
    }
}

/// Keys transposed to f32; values as they are where the products can read them, else widened to f32 with rows
/// filled up by zeros.
void prepare(const AttentionChunk& chunk, Tile& tile, float* wide) {
  switch (chunk.key_dtype) {
    case DType::kBF16:
      transpose_keys<BF16>(chunk, tile);
      break;
    case DType::kF16:
      transpose_keys<F16>(chunk, tile);
      break;
    default:
      transpose_keys<float>(chunk, tile);
  }
  if (chunk.value_dtype == DType::kF32 && chunk.value_dim % kLanes == 0) {
    tile.values = static_cast<const float*>(chunk.values) + tile.begin * chunk.value_stride;
    tile.value_stride = chunk.value_stride;
    return;
  }
  tile.values = wide;
  tile.value_stride = chunk.state.pitch;
  switch (chunk.value_dtype) {
    case DType::kBF16:
      return widen_values<BF16>(chunk, tile, wide, chunk.state.pitch);
    case DType::kF16:
      return widen_values<F16>(chunk, tile, wide, chunk.state.pitch);
    default:
      return widen_values<float>(chunk, tile, wide, chunk.state.pitch);
  }
}

void score(const AttentionChunk& chunk, const Tile& tile) {
  const int64_t vectors = (tile.keys + kLanes - 1) / kLanes;
  const int64_t columns = block_columns(tile.row_end - tile.row_begin, vectors);
  const int64_t height = least(kMaxRows, kBlockLanes / columns);
  for (int64_t vector = 0; vector < vectors; vector += columns)
    for (int64_t row = tile.row_begin; row < tile.row_end; row += height) {
      const int64_t rows = least(height, tile.row_end - row);
      const int64_t seen = visible(chunk, tile, (row + rows - 1) / chunk.group).end;
      const int64_t wanted = least(columns, (seen + kLanes - 1) / kLanes - vector);
      if (wanted <= 0) continue;
      kBlocks[rows - 1][wanted - 1]({chunk.q + row * chunk.head_dim, chunk.head_dim,
                                     tile.transposed + vector * kLanes, kTileKeys, chunk.head_dim,
                                     tile.scores + row * kTileKeys + vector * kLanes, kTileKeys, nullptr});
    }
}

/// A score after scale, cap and bias.
inline Lanes shaped(const AttentionChunk& chunk, Lanes score, const float* bias, int64_t count) {
  score = score * broadcast(chunk.scale);
  if (chunk.soft_cap > 0) score = broadcast(chunk.soft_cap) * tanh(score / broadcast(chunk.soft_cap));
  if (bias != nullptr) score = score + (count >= kLanes ? load(bias) : load(bias, count));
  return score;
}

/// Scores of one row become weights exp(score - maximum); notes by how much the maximum moved and the
/// weights' sum.
inline void weigh_row(const AttentionChunk& chunk, const Tile& tile, int64_t row) {
  constexpr int kVectors = kTileKeys / kLanes;
  const int64_t query = row / chunk.group;
  const Visible seen = visible(chunk, tile, query);
  float* scores = tile.scores + row * kTileKeys;
  const float* bias = nullptr;
  if (chunk.bias != nullptr)
    bias = chunk.bias + query * chunk.bias_query_stride + row % chunk.group * chunk.bias_head_stride +
           tile.begin;

  Lanes x[kVectors];
  Lanes peak = broadcast(kNothing);
#pragma GCC unroll 4
  for (int i = 0; i < kVectors; ++i) {
    const int64_t at = i * kLanes;
    x[i] = broadcast(kNothing);
    if (at >= seen.end) continue;
    const Lanes value =
        shaped(chunk, load(scores + at), bias == nullptr ? nullptr : bias + at, tile.keys - at);
    x[i] = at >= seen.begin && at + kLanes <= seen.end
               ? value
               : select_range(seen.begin - at, seen.end - at, value, x[i]);
    peak = larger(peak, x[i]);
  }
  const float before = chunk.state.maximum[row];
  const float peak_of_row = largest_lane(peak);
  const float maximum = before < peak_of_row ? peak_of_row : before;
  // With nothing seen yet the maximum is -inf; differences are then taken from 0, which keeps weights at 0.
  const float base = maximum == kNothing ? 0.0f : maximum;
#pragma GCC unroll 4
  for (int i = 0; i < kVectors; ++i) {
    x[i] = exp_of_negative(x[i] - broadcast(base));
    store(scores + i * kLanes, x[i]);
  }
  tile.sums[row] = sum_of_lanes((x[0] + x[1]) + (x[2] + x[3]));
  tile.correction[row] = before - base;
  chunk.state.maximum[row] = maximum;
}

void weigh(const AttentionChunk& chunk, const Tile& tile) {
  for (int64_t row = tile.row_begin; row < tile.row_end; ++row) weigh_row(chunk, tile, row);
  for (int64_t row = tile.row_begin; row < tile.row_end; row += kLanes) {
    const int64_t count = least(kLanes, tile.row_end - row);
    const Lanes correction = exp_of_negative(load(tile.correction + row, count));
    const Lanes sum =
        multiply_add(load(chunk.state.sum + row, count), correction, load(tile.sums + row, count));
    store(tile.correction + row, correction, count);
    store(chunk.state.sum + row, sum, count);
  }
}

void accumulate(const AttentionChunk& chunk, const Tile& tile) {
  const AttentionState& state = chunk.state;
  const int64_t vectors = state.pitch / kLanes;
  const int64_t columns = block_columns(tile.row_end - tile.row_begin, vectors);
  const int64_t height = least(kMaxRows, kBlockLanes / columns);
  for (int64_t vector = 0; vector < vectors; vector += columns)
    for (int64_t row = tile.row_begin; row < tile.row_end; row += height) {
      const int64_t rows = least(height, tile.row_end - row);
      const int64_t begin = visible(chunk, tile, row / chunk.group).begin;
      const int64_t end = visible(chunk, tile, (row + rows - 1) / chunk.group).end;
      kBlocks[rows - 1][least(columns, vectors - vector) - 1](
          {tile.scores + row * kTileKeys + begin, kTileKeys,
           tile.values + begin * tile.value_stride + vector * kLanes, tile.value_stride, end - begin,
           state.accumulator + row * state.pitch + vector * kLanes, state.pitch, tile.correction + row});
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
  for (int64_t i = 0; i < state.rows * state.pitch; i += kLanes) store(state.accumulator + i, zero());

  Tile tile{};
  tile.transposed = chunk.scratch;
  float* wide = tile.transposed + kTileKeys * chunk.head_dim;
  tile.scores = wide + kTileKeys * state.pitch;
  tile.correction = tile.scores + kTileKeys * state.rows;
  tile.sums = tile.correction + rounded_to_lanes(state.rows);
  for (tile.begin = chunk.key_begin; tile.begin < chunk.key_end; tile.begin += kTileKeys) {
    tile.keys = least(kTileKeys, chunk.key_end - tile.begin);
    find_rows(chunk, tile);
    if (tile.row_begin >= tile.row_end) continue;
    prepare(chunk, tile, wide);
    score(chunk, tile);
    weigh(chunk, tile);
    accumulate(chunk, tile);
  }
}

void merge(const AttentionState& total, const AttentionState& part) {
  for (int64_t row = 0; row < total.rows; ++row) {
    const float maximum = total.maximum[row] < part.maximum[row] ? part.maximum[row] : total.maximum[row];
    const float base = maximum == kNothing ? 0.0f : maximum;
    const Lanes kept = exp_of_negative(broadcast(total.maximum[row] - base));
    const Lanes added = exp_of_negative(broadcast(part.maximum[row] - base));
    float* to = total.accumulator + row * total.pitch;
    const float* from = part.accumulator + row * part.pitch;
    for (int64_t i = 0; i < total.pitch; i += kLanes)
      store(to + i, multiply_add(load(to + i), kept, load(from + i) * added));
    const Lanes sum = multiply_add(broadcast(total.sum[row]), kept, broadcast(part.sum[row]) * added);
    store(total.sum + row, sum, 1);
    total.maximum[row] = maximum;
  }
}

template <typename T>
void finish_rows(const AttentionFinish& finish) {
  const AttentionState& state = finish.state;
  for (int64_t row = 0; row < state.rows; ++row) {
    const int64_t query = row / finish.group;
    const int64_t head = row % finish.group;
    T* to = static_cast<T*>(finish.result) + query * finish.query_stride + head * finish.head_stride;
    const float* from = state.accumulator + row * state.pitch;
    const bool nothing = state.sum[row] == 0;
    const Lanes sum = broadcast(nothing ? 1.0f : state.sum[row]);
    for (int64_t i = 0; i < finish.value_dim; i += kLanes)
      // Adding zero turns -0 into 0: its sign would tell whether hidden keys were skipped or weighed by 0.
      store(to + i, load(from + i) / sum + zero(), least(kLanes, finish.value_dim - i));
    if (finish.log_sum_exp != nullptr)
      finish.log_sum_exp[query * finish.log_query_stride + head] =
          nothing ? kNothing : state.maximum[row] + ::logf(state.sum[row]);
  }
}

void finish(const AttentionFinish& finish) {
  if (finish.dtype == DType::kBF16) {
    finish_rows<BF16>(finish);
  } else {
    finish_rows<float>(finish);
  }
}

}  // namespace
}  // namespace martlet::ops
