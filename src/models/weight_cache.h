#pragma once

// Weights that were made of a model's own when it was opened, kept on disk for the next opening.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "nn/made_weights.h"

namespace martlet::models {

struct KeptWeight {
  Tensor bytes;             ///< u8 [byte_count], read-only: mapped
  uint32_t checksum = 0;    ///< of them, as they were written
  std::string format = {};  ///< the packed format whose values they are
};

/// By the paths of their parameters.
using KeptWeights = std::map<std::string, KeptWeight, std::less<>>;

/// A folder of files, one a model. A file is safetensors: a tensor u8 a weight, and their checksums (it is
/// written in one pass, so these come last). It carries a text that says all that its weights depend on; one
/// that says something else is left alone and overwritten in time, and one whose weights are not what was
/// written is removed: they are made again, never trusted. Files may be deleted at any time. Together they
/// take at most `most_bytes`: those that were not used for the longest time go.
class WeightCache {
 public:
  /// `name`: of the file. `made_of`: what the weights depend on: the model's files as they are, what made
  /// them, their layout.
  WeightCache(std::string folder, std::string name, std::string made_of, int64_t most_bytes);

  enum class Check : uint8_t {
    kNow,   ///< all bytes, read once from the mapped file on all threads
    kLater  ///< those of blocks (layers.*) only when a reader of its own brings them to memory
  };

  /// Mapped; nothing where nothing is kept that could be used.
  std::optional<KeptWeights> load(Check check) const;
  /// Makes all weights one after another, keeps them, and uses each as `load` gives it. Where the disk will
  /// not take them, they are made in memory and nothing is returned; kExhausted where they are to be checked
  /// later, so perhaps larger than memory, and memory has not twice as much left.
  std::optional<KeptWeights> make(std::span<const nn::MadeWeight> weights, Check check) const;

  std::string path() const;

 private:
  std::optional<KeptWeights> keep(std::span<const nn::MadeWeight> weights, Check check) const;
  /// Removes others until so many bytes fit; false where they cannot.
  bool make_room(int64_t bytes) const;

  std::string folder_;
  std::string name_;
  std::string made_of_;
  int64_t most_bytes_;
};

}  // namespace martlet::models
