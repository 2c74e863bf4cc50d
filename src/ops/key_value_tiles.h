#pragma once

// Keys and values of a cache as attention reads them: in tiles, in few bits.

#include <cstdint>
#include <string_view>

#include "tensor/tensor.h"

namespace martlet::ops {

/// How a cache keeps the elements of keys and values. f16 rounds each to 11 bits (beyond 65504 to that); q8
/// and q4 round to a multiple of a scale, binary16, of 32 elements of one position and head: to -127 .. 127
/// times greatest magnitude / 127, or to -8 .. 7 times the element of greatest magnitude / -8.
enum class CacheFormat : uint8_t { kF32, kF16, kQ8, kQ4 };

inline constexpr CacheFormat kAllCacheFormats[] = {CacheFormat::kF32, CacheFormat::kF16, CacheFormat::kQ8,
                                                   CacheFormat::kQ4};
/// "f32", "f16", "q8", "q4".
constexpr std::string_view name_of(CacheFormat format) {
  constexpr std::string_view kNames[] = {"f32", "f16", "q8", "q4"};
  return kNames[static_cast<size_t>(format)];
}

/// Keys and values of one sequence and layer in tiles of 64 positions. In a tile of keys the positions of one
/// element of a head are neighbours, so that a vector of scores is a sum of vectors as they lie in memory; in
/// a tile of values the elements of one position are. A head's tile is one piece of memory, read from
/// beginning to end by all the query heads that share it.
struct KeyValueTiles {
  static constexpr int64_t kPositions = 64;
  static constexpr int64_t kGroup = 32;  ///< elements that share a scale

  CacheFormat format = CacheFormat::kF32;
  int64_t head_dim = 0, value_dim = 0;
  int64_t count = 0;  ///< positions; the last tile may be partly filled
  /// u8 [tiles, key_value_heads, key_tile_bytes(..)]: codes [head_dim][64] (q4: two elements of a position in
  /// a byte, the earlier one low), then for q8 and q4 scales [groups][64].
  Tensor keys;
  /// u8 [tiles, key_value_heads, value_tile_bytes(..)]: codes [64][value_dim rounded up to 16] (q4: to 32,
  /// and elements i and i + 16 of a group in a byte, the earlier one low), then scales [groups][64].
  Tensor values;

  bool defined() const { return keys.defined(); }
  int64_t key_value_heads() const { return keys.dim(1); }
  /// The first `positions` of them.
  KeyValueTiles first(int64_t positions) const;
};

/// Of one head's tile.
int64_t key_tile_bytes(CacheFormat format, int64_t head_dim);
int64_t value_tile_bytes(CacheFormat format, int64_t value_dim);

/// Room for `tiles` tiles, zeros, of no positions yet.
KeyValueTiles make_key_value_tiles(CacheFormat format, int64_t tiles, int64_t key_value_heads,
                                   int64_t head_dim, int64_t value_dim);

/// Rounds keys [n, key_value_heads, head_dim] and values [n, key_value_heads, value_dim] of f32, bf16 or f16
/// into positions [begin, begin + n), which the tiles must have room for; `count` becomes begin + n. A NaN or
/// an infinity in a q8 or q4 group makes the whole group NaN. Throws where sizes do not agree.
void write_key_values(KeyValueTiles& tiles, int64_t begin, const Tensor& keys, const Tensor& values);

/// What stands there, f32: [count, key_value_heads, head_dim] and [count, key_value_heads, value_dim].
Tensor read_keys(const KeyValueTiles& tiles);
Tensor read_values(const KeyValueTiles& tiles);

}  // namespace martlet::ops
