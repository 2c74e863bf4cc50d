#pragma once

#include <vector>

#include "nn/batch.h"

namespace martlet::infer {

/// Keys and values of one sequence in f32, one block of memory a layer that doubles when it is full.
class GrowingKvCache final : public nn::KvCache {
 public:
  explicit GrowingKvCache(int64_t layers) : layers_(static_cast<size_t>(layers)) {}

  View append(int64_t layer, const Tensor& keys, const Tensor& values) override;
  int64_t length() const override { return layers_.empty() ? 0 : layers_.back().length; }
  /// Becomes a copy of the other's first `length` positions.
  void copy_prefix(const GrowingKvCache& other, int64_t length);
  /// Forgets all positions from `length` on.
  void truncate(int64_t length);
  int64_t byte_count() const;
  int64_t layer_count() const { return static_cast<int64_t>(layers_.size()); }
  /// All positions of one layer.
  View view(int64_t layer) const;
  /// Of one key or value.
  static int64_t element_bytes() { return size_of(DType::kF32); }

 private:
  struct Layer {
    Tensor keys;
    Tensor values;
    int64_t length = 0;
  };
  std::vector<Layer> layers_;
};

}  // namespace martlet::infer
