#pragma once

// A tile of keys and values made ready for the products of attention: keys with positions as neighbours,
// both f32. Include one of floats_*.h and the float_blocks_*.h of the same kind first.

#include "ops/cpu/attention_tiles.h"

namespace martlet::ops::cpu {
namespace {

/// With fewer rows than these a tile is computed about as fast as memory brings the next one, which is then
/// asked for ahead of its time.
constexpr int64_t kFewRows = 16;

inline int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}
inline int64_t most(int64_t a, int64_t b) {
  return a < b ? b : a;
}

/// A matrix of f32 or f16 that a product reads rows of.
struct TileOperand {
  const char* data;
  int64_t row_bytes;
  bool halves;
  int64_t ahead = 0;  // bytes to the matrix that will be wanted next, where it is to be asked for

  TileOperand() = default;
  TileOperand(const float* from, int64_t stride)
      : data(reinterpret_cast<const char*>(from)), row_bytes(stride * 4), halves(false) {}
  static TileOperand of_halves(const std::byte* from, int64_t stride) {
    TileOperand result(nullptr, 0);
    result.data = reinterpret_cast<const char*>(from);
    result.row_bytes = stride * 2;
    result.halves = true;
    return result;
  }
  const char* at(int64_t row, int64_t column) const {
    return data + row * row_bytes + column * (halves ? 2 : 4);
  }
};

/// One tile's keys, and the rows of the chunk that see any of them.
struct Tile {
  int64_t begin, keys;         // the first key, and how many
  int64_t row_begin, row_end;  // rows that see some
  TileOperand keys_across;     // [head_dim, kTileKeys]
  TileOperand values;          // [keys, value_dim]
  float* scores;               // [rows, kTileKeys]: then weights
  float* correction;           // [rows]: what sums so far are multiplied by
  float* bases;                // [rows]: what scores are weighed against, the maximum so far
  float* peaks;                // [rows]: largest scores, then sums of weights
};

/// The keys of a tile that a query sees, counted from the tile's first.
struct Visible {
  int64_t begin, end;
};
inline Visible visible(const AttentionChunk& chunk, const Tile& tile, int64_t query) {
  const int64_t position = chunk.first_position + query;
  return {most(0, visible_begin(position, chunk.window) - tile.begin),
          least(tile.keys, visible_end(position, chunk.window, chunk.causal, chunk.key_count) - tile.begin)};
}

/// How the elements of keys and values lie in memory and become f32. Keys are transposed in units of 32 bits;
/// such a unit holds kParts elements of one key.
struct FromF32 {
  static constexpr int64_t kBytes = 4, kParts = 1;
  static Floats part(Floats unit, int) { return unit; }
  static Floats load_sixteen(const void* from) { return load(static_cast<const float*>(from)); }
};
struct FromBF16 {
  static constexpr int64_t kBytes = 2, kParts = 2;
  static Floats part(Floats unit, int which) {
    const Ints bits = bits_of(unit);
    return floats_of(which == 0 ? shift_left<16>(bits) : bits & all_ints(-65536));
  }
  static Floats load_sixteen(const void* from) { return floats_of(shift_left<16>(load_halves(from))); }
};
struct FromF16 {
  static constexpr int64_t kBytes = 2, kParts = 2;
  static Floats part(Floats unit, int which) {
    const Ints bits = bits_of(unit);
    return widen_f16(which == 0 ? bits : shift_right<16>(bits));
  }
  static Floats load_sixteen(const void* from) { return load_f16(from); }
};

/// Sixteen keys' elements [i, i + 16 kParts) into the transposed tile.
template <typename From>
void transpose_block(const AttentionChunk& chunk, const Tile& tile, const char* keys, int64_t key, int64_t i,
                     float* transposed) {
  const int64_t row_bytes = chunk.key_stride * From::kBytes;
  const int64_t bytes = (chunk.head_dim - i) * From::kBytes;
  const int64_t count = tile.keys - key;
  const char* from = keys + key * row_bytes + i * From::kBytes;
  float* to = transposed + i * kTileKeys + key;
  Floats rows[16];
  if (bytes >= 64 && count >= 16) {
#pragma GCC unroll 16
    for (int row = 0; row < 16; ++row) rows[row] = load_bytes(from + row * row_bytes, 64);
    transpose(rows);
#pragma GCC unroll 16
    for (int row = 0; row < 16; ++row)
      for (int part = 0; part < From::kParts; ++part)
        store(to + (row * From::kParts + part) * kTileKeys, From::part(rows[row], part));
    return;
  }
  for (int row = 0; row < 16; ++row)
    rows[row] = row < count ? load_bytes(from + row * row_bytes, least(bytes, 64)) : all(0.0f);
  transpose(rows);
  for (int row = 0; row < 16; ++row)
    for (int part = 0; part < From::kParts; ++part)
      if (i + row * From::kParts + part < chunk.head_dim)
        store(to + (row * From::kParts + part) * kTileKeys, From::part(rows[row], part));
}

template <typename From>
void transpose_keys(const AttentionChunk& chunk, const Tile& tile, float* transposed) {
  const int64_t key_bytes = chunk.key_stride * From::kBytes;
  const int64_t value_bytes = chunk.value_stride * (chunk.value_dtype == DType::kF32 ? 4 : 2);
  const char* keys = static_cast<const char*>(chunk.keys) + tile.begin * key_bytes;
  const char* values = static_cast<const char*>(chunk.values) + tile.begin * value_bytes;
  const bool few = tile.row_end - tile.row_begin <= kFewRows;
  for (int64_t key = 0; key < tile.keys; key += 16) {
    const int64_t next = key + kTileKeys;
    const bool ask = few && tile.begin + next + 16 <= chunk.key_count;
    for (int64_t i = 0; i < chunk.head_dim; i += 16 * From::kParts) {
      // One line of each of sixteen keys and values of the next tile. (Not in a function of its own: the
      // compiler takes one that only prefetches for one without effect.)
      for (int64_t row = 0; ask && row < 16; ++row) {
        __builtin_prefetch(keys + (next + row) * key_bytes + i * From::kBytes);
        __builtin_prefetch(values + (next + row) * value_bytes + i * From::kBytes);
      }
      transpose_block<From>(chunk, tile, keys, key, i, transposed);
    }
  }
}

template <typename From>
void widen_values(const AttentionChunk& chunk, const Tile& tile, float* wide, int64_t pitch) {
  const char* values =
      static_cast<const char*>(chunk.values) + tile.begin * chunk.value_stride * From::kBytes;
  for (int64_t key = 0; key < tile.keys; ++key) {
    const char* from = values + key * chunk.value_stride * From::kBytes;
    float* to = wide + key * pitch;
    int64_t i = 0;
    for (; i + 16 <= chunk.value_dim; i += 16) store(to + i, From::load_sixteen(from + i * From::kBytes));
    if (i == chunk.value_dim) continue;
    float last[16];
    store(last, load_bytes(from + i * From::kBytes, (chunk.value_dim - i) * From::kBytes));
    store(to + i, From::load_sixteen(last));
  }
}

/// Calls `work` with how elements of that type are read.
template <typename Work>
void with_type(DType dtype, Work work) {
  switch (dtype) {
    case DType::kBF16:
      return work(FromBF16());
    case DType::kF16:
      return work(FromF16());
    default:
      return work(FromF32());
  }
}

/// Keys transposed to f32; values as they are where the products can read them, else widened to f32 with rows
/// filled up by zeros.
void prepare_rows(const AttentionChunk& chunk, Tile& tile, float* transposed, float* wide) {
  tile.keys_across = TileOperand(transposed, kTileKeys);
  with_type(chunk.key_dtype, [&](auto from) { transpose_keys<decltype(from)>(chunk, tile, transposed); });
  if (chunk.value_dtype == DType::kF32 && chunk.value_dim % 16 == 0) {
    const float* values = static_cast<const float*>(chunk.values) + tile.begin * chunk.value_stride;
    tile.values = TileOperand(values, chunk.value_stride);
    return;
  }
  const int64_t pitch = chunk.state.pitch;
  tile.values = TileOperand(wide, pitch);
  with_type(chunk.value_dtype, [&](auto from) { widen_values<decltype(from)>(chunk, tile, wide, pitch); });
}

/// `count` runs of `length` codes each become f32, `pitch` apart; each run's codes stand `run_bytes` behind
/// those of the one before. A multiple of sixteen is read.
template <typename Widen>
inline void widen_runs(const std::byte* from, int64_t run_bytes, int64_t runs, int64_t length, int64_t ahead,
                       float* to, int64_t pitch, const Widen& widen) {
  for (int64_t run = 0; run < runs; ++run, from += run_bytes, to += pitch) {
    for (int64_t i = 0; ahead != 0 && i < run_bytes; i += 64) __builtin_prefetch(from + ahead + i, 0, 2);
    for (int64_t i = 0; i < length; i += 16) widen(from, run, i, to + i);
  }
}

constexpr int64_t kGroup = KeyValueTiles::kGroup;

/// Scales of all groups and positions, f32 [groups, kTileKeys].
inline void widen_scales(const std::byte* from, int64_t groups, float* to) {
  for (int64_t i = 0; i < groups * kTileKeys; i += 16) store(to + i, load_f16(from + i * 2));
}

void widen_key_tile(const AttentionChunk& chunk, const Tile& tile, const std::byte* from, int64_t ahead,
                    float* to, float* scales) {
  const int64_t dim = chunk.head_dim;
  if (chunk.format == CacheFormat::kF16) {
    widen_runs(from, kTileKeys * 2, dim, tile.keys, ahead, to, kTileKeys,
               [](const std::byte* run, int64_t, int64_t i, float* at) { store(at, load_f16(run + 2 * i)); });
    return;
  }
  const bool bytes = chunk.format == CacheFormat::kQ8;
  widen_scales(from + (bytes ? dim : (dim + 1) / 2) * kTileKeys, (dim + kGroup - 1) / kGroup, scales);
  if (bytes) {
    widen_runs(
        from, kTileKeys, dim, tile.keys, ahead, to, kTileKeys,
        [&](const std::byte* run, int64_t element, int64_t i, float* at) {
          store(at, to_floats(load_signed_bytes(run + i)) * load(scales + element / kGroup * kTileKeys + i));
        });
    return;
  }
  // An odd head_dim has room for one element more.
  widen_runs(from, kTileKeys, (dim + 1) / 2, tile.keys, ahead, to, 2 * kTileKeys,
             [&](const std::byte* run, int64_t pair, int64_t i, float* at) {
               const Ints both = load_signed_bytes(run + i);
               const Floats scale = load(scales + 2 * pair / kGroup * kTileKeys + i);
               store(at, to_floats((both & all_ints(15)) - all_ints(8)) * scale);
               store(at + kTileKeys, to_floats((shift_right<4>(both) & all_ints(15)) - all_ints(8)) * scale);
             });
}

void widen_value_tile(const AttentionChunk& chunk, const Tile& tile, const std::byte* from, int64_t ahead,
                      float* to, float* scales) {
  const int64_t pitch = chunk.state.pitch;
  if (chunk.format == CacheFormat::kF16) {
    widen_runs(from, pitch * 2, tile.keys, pitch, ahead, to, pitch,
               [](const std::byte* run, int64_t, int64_t i, float* at) { store(at, load_f16(run + 2 * i)); });
    return;
  }
  const bool bytes = chunk.format == CacheFormat::kQ8;
  const int64_t groups = (chunk.value_dim + kGroup - 1) / kGroup;
  const int64_t row_bytes = bytes ? pitch : groups * kGroup / 2;
  widen_scales(from + row_bytes * kTileKeys, groups, scales);
  widen_runs(from, row_bytes, tile.keys, pitch, ahead, to, pitch,
             [&](const std::byte* run, int64_t key, int64_t i, float* at) {
               const Floats scale = all(scales[i / kGroup * kTileKeys + key]);
               if (bytes) {
                 store(at, to_floats(load_signed_bytes(run + i)) * scale);
                 return;
               }
               // Elements i and i + 16 of a group share bytes.
               const Ints both = load_signed_bytes(run + i / kGroup * 16);
               const Ints codes = i % kGroup == 0 ? both : shift_right<4>(both);
               store(at, to_floats((codes & all_ints(15)) - all_ints(8)) * scale);
             });
}

/// The same of a cache's tile. `scales`: room for those of the widest of both.
void prepare_tile(const AttentionChunk& chunk, Tile& tile, float* transposed, float* wide, float* scales) {
  const std::byte* keys = chunk.key_tiles + tile.begin / kTileKeys * chunk.key_tile_stride;
  const std::byte* values = chunk.value_tiles + tile.begin / kTileKeys * chunk.value_tile_stride;
  const int64_t pitch = chunk.state.pitch;
  // What few rows will want next is asked for.
  const bool few = tile.row_end - tile.row_begin <= kFewRows;
  const bool asks = few && tile.begin + 2 * kTileKeys <= chunk.key_count;
  const int64_t key_ahead = asks ? chunk.key_tile_stride : 0;
  const int64_t value_ahead = asks ? chunk.value_tile_stride : 0;
  if (chunk.format == CacheFormat::kF32) {
    tile.keys_across = TileOperand(reinterpret_cast<const float*>(keys), kTileKeys);
    tile.values = TileOperand(reinterpret_cast<const float*>(values), pitch);
  } else if (chunk.format == CacheFormat::kF16 && few) {
    // Widened as they are loaded, which few rows do once or twice.
    tile.keys_across = TileOperand::of_halves(keys, kTileKeys);
    tile.values = TileOperand::of_halves(values, pitch);
  } else {
    widen_key_tile(chunk, tile, keys, key_ahead, transposed, scales);
    widen_value_tile(chunk, tile, values, value_ahead, wide, scales);
    tile.keys_across = TileOperand(transposed, kTileKeys);
    tile.values = TileOperand(wide, pitch);
    return;
  }
  tile.keys_across.ahead = key_ahead;
  tile.values.ahead = value_ahead;
}

}  // namespace
}  // namespace martlet::ops::cpu
