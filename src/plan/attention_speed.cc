#include "plan/attention_speed.h"

#include <algorithm>

#include "ops/attention.h"
#include "plan/usual_seconds.h"

namespace martlet::plan {
namespace {

constexpr int64_t kTile = ops::KeyValueTiles::kPositions;
constexpr int64_t kPromptTokens = 256;
// Keys and values that are measured at once, at most; more positions take as much longer.
constexpr int64_t kMostPositions = 4096;
constexpr double kSecondsEach = 0.1;

/// A cache of `positions` in `memory`, from `begin` on, and the position behind it.
ops::KeyValueTiles tiles_at(const AttentionKind& kind, int64_t positions, const Tensor& memory,
                            int64_t& begin) {
  const int64_t count = (positions + kTile - 1) / kTile;
  const auto place = [&](int64_t tile_bytes) {
    const int64_t bytes = count * kind.key_value_heads * tile_bytes;
    begin += bytes;
    return memory.slice(0, begin - bytes, begin).reshape({count, kind.key_value_heads, tile_bytes});
  };
  ops::KeyValueTiles tiles{kind.format, kind.head_dim, kind.head_dim, positions, {}, {}};
  tiles.keys = place(ops::key_tile_bytes(kind.format, kind.head_dim));
  tiles.values = place(ops::value_tile_bytes(kind.format, kind.head_dim));
  return tiles;
}

/// What a layer does for the last `queries` positions.
void attend(ops::KeyValueTiles& tiles, const Tensor& q, const Tensor& rows) {
  const int64_t queries = q.dim(0);
  ops::write_key_values(tiles, tiles.count - queries, rows, rows);
  const ops::AttentionSequence sequence{0, queries, {}, {}, tiles};
  ops::attention(q, std::span(&sequence, 1), {.scale = 0.125f});
}

}  // namespace

AttentionSpeed measure_attention(const AttentionKind& kind, const Tensor& memory) {
  const auto zeros = [&](int64_t tokens, int64_t heads) {
    return Tensor::zeros({tokens, heads, kind.head_dim}, DType::kF32);
  };
  const int64_t tile_bytes = kind.key_value_heads * (ops::key_tile_bytes(kind.format, kind.head_dim) +
                                                     ops::value_tile_bytes(kind.format, kind.head_dim));
  const int64_t room = std::max<int64_t>(kTile, memory.byte_count() / tile_bytes * kTile);
  const int64_t positions = std::min({std::max<int64_t>(1, kind.positions), kMostPositions, room});
  const int64_t layer_bytes = (positions + kTile - 1) / kTile * tile_bytes;
  const Tensor q = zeros(1, kind.heads), row = zeros(1, kind.key_value_heads);
  AttentionSpeed speed{kind};
  // One cache after another, as layers follow: what a token reads was read a token ago.
  int64_t begin = 0;
  const double one = usual_seconds(kSecondsEach, [&] {
    if (begin + layer_bytes > memory.byte_count()) begin = 0;
    ops::KeyValueTiles tiles = tiles_at(kind, positions, memory, begin);
    attend(tiles, q, row);
  });
  speed.token_seconds = one * static_cast<double>(kind.positions) / static_cast<double>(positions);
  const int64_t tokens = std::min(kPromptTokens, room);
  const Tensor queries = zeros(tokens, kind.heads), rows = zeros(tokens, kind.key_value_heads);
  int64_t nowhere = 0;
  ops::KeyValueTiles tiles = tiles_at(kind, tokens, memory, nowhere);
  const double pairs = static_cast<double>(tokens * (tokens + 1)) / 2;
  speed.pair_seconds = usual_seconds(kSecondsEach, [&] { attend(tiles, queries, rows); }) / pairs;
  return speed;
}

Json to_json(const AttentionSpeed& speed) {
  Json row;
  row.set("heads", speed.kind.heads).set("key_value_heads", speed.kind.key_value_heads);
  row.set("head_dim", speed.kind.head_dim).set("format", std::string(ops::name_of(speed.kind.format)));
  row.set("positions", speed.kind.positions).set("token_s", speed.token_seconds);
  return row.set("pair_s", speed.pair_seconds);
}

}  // namespace martlet::plan
