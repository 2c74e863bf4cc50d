#pragma once

#include <vector>

#include "nn/batch.h"

namespace martlet::infer {

/// Keys and values of one sequence, in tiles in the format of each layer, whose memory doubles when it is
/// full.
class GrowingKvCache final : public nn::KvCache {
 public:
  explicit GrowingKvCache(int64_t layers) : layers_(static_cast<size_t>(layers)) {}

  ops::KeyValueTiles append(int64_t layer, ops::CacheFormat format, const Tensor& keys,
                            const Tensor& values) override;
  int64_t length() const override { return layers_.empty() ? 0 : layers_.back().count; }
  /// Becomes a copy of the other's first `length` positions.
  void copy_prefix(const GrowingKvCache& other, int64_t length);
  /// Puts a copy of these tiles, with room for more, in the place of what a layer holds.
  void put(int64_t layer, const ops::KeyValueTiles& tiles);
  /// Forgets all positions from `length` on.
  void truncate(int64_t length);
  int64_t byte_count() const;
  int64_t layer_count() const { return static_cast<int64_t>(layers_.size()); }
  /// All positions of one layer.
  ops::KeyValueTiles tiles(int64_t layer) const;

 private:
  std::vector<ops::KeyValueTiles> layers_;  // with room behind the last position
};

}  // namespace martlet::infer
