#include "infer/kv_cache.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace martlet::infer {
namespace {

constexpr int64_t kPositions = ops::KeyValueTiles::kPositions;

int64_t tiles_for(int64_t positions) {
  return (positions + kPositions - 1) / kPositions;
}

/// `from`'s positions in tiles of their own, with room for `positions`.
ops::KeyValueTiles copy_of(const ops::KeyValueTiles& from, int64_t positions) {
  const OwnerScope owner(Owner::kCache);
  ops::KeyValueTiles to = ops::make_key_value_tiles(from.format, tiles_with_room(positions),
                                                    from.key_value_heads(), from.head_dim, from.value_dim);
  to.count = from.count;
  const int64_t used = tiles_for(from.count);
  to.keys.slice(0, 0, used).copy_elements(from.keys.slice(0, 0, used));
  to.values.slice(0, 0, used).copy_elements(from.values.slice(0, 0, used));
  return to;
}

}  // namespace

int64_t tiles_with_room(int64_t positions) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(tiles_for(positions))));
}

ops::KeyValueTiles GrowingKvCache::append(int64_t layer, ops::CacheFormat format, const Tensor& keys,
                                          const Tensor& values) {
  if (layer < 0 || layer >= layer_count())
    failed("the cache has {} layers, and layer {} was asked for", layers_.size(), layer);
  ops::KeyValueTiles& at = layers_[static_cast<size_t>(layer)];
  if (at.count == 0 && (!at.defined() || at.format != format)) {
    const OwnerScope owner(Owner::kCache);
    at = ops::make_key_value_tiles(format, tiles_with_room(keys.dim(0)), keys.dim(1), keys.dim(2),
                                   values.dim(2));
  }
  if (at.format != format)
    failed("layer {} of the cache holds {}, and {} was asked for", layer, name_of(at.format),
           name_of(format));
  const int64_t needed = at.count + keys.dim(0);
  if (needed > at.keys.dim(0) * kPositions) at = copy_of(at, needed);
  ops::write_key_values(at, at.count, keys, values);
  return at.first(at.count);
}

ops::KeyValueTiles GrowingKvCache::tiles(int64_t layer) const {
  const ops::KeyValueTiles& at = layers_.at(static_cast<size_t>(layer));
  return at.first(at.count);
}

void GrowingKvCache::put(int64_t layer, const ops::KeyValueTiles& tiles) {
  layers_.at(static_cast<size_t>(layer)) = copy_of(tiles, tiles.count);
}

void GrowingKvCache::copy_prefix(const GrowingKvCache& other, int64_t length) {
  if (length > other.length()) failed("a cache of {} positions has no prefix of {}", other.length(), length);
  truncate(0);
  if (length == 0) return;
  for (int64_t layer = 0; layer < layer_count(); ++layer)
    put(layer, other.layers_[static_cast<size_t>(layer)].first(lead_ + length));
}

void GrowingKvCache::truncate(int64_t length) {
  if (length > 0) length += lead_;
  for (ops::KeyValueTiles& layer : layers_) layer.count = std::min(layer.count, length);
}

int64_t GrowingKvCache::byte_count() const {
  int64_t bytes = 0;
  for (const ops::KeyValueTiles& layer : layers_)
    if (layer.defined()) bytes += layer.keys.byte_count() + layer.values.byte_count();
  return bytes;
}

}  // namespace martlet::infer
