#include "infer/kv_cache.h"

#include <algorithm>

#include "base/error.h"

namespace martlet::infer {
namespace {

constexpr int64_t kFirstCapacity = 64;  // positions

/// `store` with room for `length` positions more than it holds, and `rows` written behind them.
void append_rows(Tensor& store, int64_t held, const Tensor& rows) {
  const int64_t needed = held + rows.dim(0);
  if (!store.defined() || store.dim(0) < needed) {
    const int64_t capacity = std::max({kFirstCapacity, needed, store.defined() ? 2 * store.dim(0) : 0});
    const OwnerScope owner(Owner::kCache);
    const Tensor larger = Tensor::empty({capacity, rows.dim(1), rows.dim(2)}, rows.dtype(), rows.device());
    if (held > 0) larger.slice(0, 0, held).copy_elements(store.slice(0, 0, held));
    store = larger;
  }
  store.slice(0, held, needed).copy_elements(rows);
}

}  // namespace

nn::KvCache::View GrowingKvCache::append(int64_t layer, const Tensor& keys, const Tensor& values) {
  if (layer < 0 || layer >= static_cast<int64_t>(layers_.size()))
    failed("the cache has {} layers, and layer {} was asked for", layers_.size(), layer);
  Layer& at = layers_[static_cast<size_t>(layer)];
  append_rows(at.keys, at.length, keys);
  append_rows(at.values, at.length, values);
  at.length += keys.dim(0);
  return {at.keys.slice(0, 0, at.length), at.values.slice(0, 0, at.length)};
}

nn::KvCache::View GrowingKvCache::view(int64_t layer) const {
  const Layer& at = layers_.at(static_cast<size_t>(layer));
  return {at.keys.slice(0, 0, at.length), at.values.slice(0, 0, at.length)};
}

void GrowingKvCache::copy_prefix(const GrowingKvCache& other, int64_t length) {
  if (length > other.length()) failed("a cache of {} positions has no prefix of {}", other.length(), length);
  truncate(0);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& from = other.layers_[i];
    append(static_cast<int64_t>(i), from.keys.slice(0, 0, length), from.values.slice(0, 0, length));
  }
}

void GrowingKvCache::truncate(int64_t length) {
  for (Layer& layer : layers_) layer.length = std::min(layer.length, length);
}

int64_t GrowingKvCache::byte_count() const {
  int64_t bytes = 0;
  for (const Layer& layer : layers_)
    if (layer.keys.defined()) bytes += layer.keys.byte_count() + layer.values.byte_count();
  return bytes;
}

}  // namespace martlet::infer
