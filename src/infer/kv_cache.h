#pragma once

#include <algorithm>
#include <vector>

#include "nn/batch.h"

namespace martlet::infer {

/// Positions that one forward takes at most while prompts are read: bounds the memory of activations.
inline constexpr int64_t kPrefillTokens = 512;

/// Tiles of a layer's keys, and as many of its values, of a cache that holds so many positions, the lead
/// counted: a power of two, however it came to hold them.
int64_t tiles_with_room(int64_t positions);

/// Keys and values of one sequence, in tiles in the format of each layer, whose memory doubles when it is
/// full.
class GrowingKvCache final : public nn::KvCache {
 public:
  /// `lead`: positions before every sequence that are held and not counted (see ModelShape).
  explicit GrowingKvCache(int64_t layers, int64_t lead = 0)
      : layers_(static_cast<size_t>(layers)), lead_(lead) {}

  ops::KeyValueTiles append(int64_t layer, ops::CacheFormat format, const Tensor& keys,
                            const Tensor& values) override;
  int64_t length() const override { return layers_.empty() ? 0 : length(layer_count() - 1); }
  /// Positions of one layer, which may run ahead of the last.
  int64_t length(int64_t layer) const {
    return std::max<int64_t>(0, layers_.at(static_cast<size_t>(layer)).count - lead_);
  }
  int64_t lead() const { return lead_; }
  /// Becomes a copy of the other's first `length` positions.
  void copy_prefix(const GrowingKvCache& other, int64_t length);
  /// Puts a copy of these tiles in the place of what a layer holds.
  void put(int64_t layer, const ops::KeyValueTiles& tiles);
  /// Forgets all positions from `length` on, and the lead with the first.
  void truncate(int64_t length);
  int64_t byte_count() const;
  int64_t layer_count() const { return static_cast<int64_t>(layers_.size()); }
  /// All positions of one layer, the lead first.
  ops::KeyValueTiles tiles(int64_t layer) const;

 private:
  std::vector<ops::KeyValueTiles> layers_;  // with room behind the last position
  int64_t lead_ = 0;
};

}  // namespace martlet::infer
