#pragma once

// What the driver of attention (attention_driver.cc, threads and order) and its kernels (one file an
// instruction set, arithmetic) say to each other: plain pointers, sizes and strides in elements.
//
// The order of sums is fixed by three constants and nothing else. Keys are taken in chunks of kChunkKeys from
// key 0; within a chunk in tiles of kTileKeys with a running maximum; a chunk's partial result (maximum, sum,
// accumulator) is merged into the query's total chunk after chunk. Within a tile a score is one chain of
// fused multiply-adds over head_dim, and an element of the accumulator one over the keys. Chunks can
// therefore be computed by any thread in any order, and a query alone or among others takes the same steps.
// Keys that a query does not see have the weight 0, which changes no sum: whether they are skipped or not
// makes no difference.

#include <cstdint>

#include "ops/key_value_tiles.h"

namespace martlet::ops::cpu {

/// A tile's transposed keys of head_dim 128 are 32 KiB: they stay in a first-level cache of 48 KiB.
inline constexpr int64_t kTileKeys = KeyValueTiles::kPositions;
/// Merging costs one pass over the accumulator a chunk, under 1 % of the chunk's products; small enough that
/// two threads share one sequence of a few hundred keys.
inline constexpr int64_t kChunkKeys = 256;

/// Softmax state of rows: the largest score, the sum of exp(score - maximum), and the values so weighted.
struct AttentionState {
  float* maximum = nullptr;      // [rows], -inf while no key was seen
  float* sum = nullptr;          // [rows]
  float* accumulator = nullptr;  // [rows, pitch]: value_dim rounded up to 16
  int64_t rows = 0;
  int64_t pitch = 0;
};

/// Rows of queries that share one key/value head, against one chunk of its keys. Row r is query r / group and
/// head r % group of the heads that share.
struct AttentionChunk {
  const float* q = nullptr;  // [rows, head_dim]
  int64_t queries = 0, group = 0;
  int64_t head_dim = 0, value_dim = 0;

  // Keys and values of a cache: this head's first tiles, and bytes from a tile to the next; or null, and then
  // rows of some type:
  const std::byte* key_tiles = nullptr;
  const std::byte* value_tiles = nullptr;
  int64_t key_tile_stride = 0, value_tile_stride = 0;
  CacheFormat format = CacheFormat::kF32;

  DType key_dtype = DType::kF32, value_dtype = DType::kF32;
  const void* keys = nullptr;    // of key 0
  const void* values = nullptr;  // of key 0
  int64_t key_stride = 0, value_stride = 0;
  int64_t key_begin = 0, key_end = 0;  // the chunk; key_begin is a multiple of kTileKeys
  int64_t key_count = 0;               // of the sequence

  int64_t first_position = 0;  // of query 0, counted like the keys; negative: it sees none
  bool causal = true;
  int64_t window = 0;
  float scale = 1;
  float soft_cap = 0;
  const float* bias = nullptr;  // of query 0, head 0 and key 0, or null
  int64_t bias_query_stride = 0, bias_head_stride = 0;

  AttentionState state;      // written, whatever it held
  float* scratch = nullptr;  // attention_scratch(...) floats
};

struct AttentionKernels {
  void (*attend)(const AttentionChunk&);
  /// total += part; both of the same rows.
  void (*merge)(const AttentionState& total, const AttentionState& part);
  /// Accumulators divided by the sums; zeros where the sum is 0.
  void (*finish)(const AttentionState&);
};

const AttentionKernels& attention_kernels_portable();
const AttentionKernels& attention_kernels_avx2();
const AttentionKernels& attention_kernels_avx512();

namespace {

inline int64_t rounded_to_lanes(int64_t count) {
  return (count + 15) / 16 * 16;
}

/// Floats of scratch that `attend` needs: keys transposed (an even number of elements), values widened,
/// scales of a tile's groups, scores, and three numbers a row.
inline int64_t attention_scratch(int64_t rows, int64_t head_dim, int64_t value_dim) {
  const int64_t dim = head_dim < value_dim ? value_dim : head_dim;
  const int64_t groups = (dim + KeyValueTiles::kGroup - 1) / KeyValueTiles::kGroup;
  return kTileKeys * (head_dim + 1 + rounded_to_lanes(value_dim) + groups + rows) +
         3 * rounded_to_lanes(rows);
}

/// Keys [visible_begin, visible_end) are those that a query sees; both grow with the query.
inline int64_t visible_begin(int64_t position, int64_t window) {
  return window > 0 && position >= window ? position - window + 1 : 0;
}
inline int64_t visible_end(int64_t position, int64_t window, bool causal, int64_t key_count) {
  int64_t end = key_count;
  if (causal) {
    end = position + 1;
  } else if (window > 0 && position + window < key_count) {
    end = position + window;
  }
  return end < 0 ? 0 : end;
}

}  // namespace
}  // namespace martlet::ops::cpu
