#pragma once

// What models have read of prompts, kept on disk from one call to the next.

#include <cstdint>
#include <span>
#include <string>

#include "infer/kv_cache.h"

namespace martlet::infer {

/// A folder of files, one a prompt: its ids, and the keys and values of all its positions. Every file carries
/// a hash of all that it holds; one that does not agree is removed and read anew from the model, never
/// trusted. Files may be deleted at any time. Together they take at most `most_bytes`: those that were not
/// used for the longest time go.
class PromptCache {
 public:
  /// `reader` says all that the keys and values depend on beside the ids: the model's files as they are, its
  /// rewrites, the program. Others' prompts are not seen.
  PromptCache(std::string folder, std::string reader, int64_t most_bytes);

  /// Fills an empty cache with the positions of the kept prompt that begins most like this one, all but the
  /// last at most; how many.
  int64_t load(std::span<const int32_t> prompt, GrowingKvCache& cache) const;
  /// Keeps a prompt and its positions, the first ones of `cache`. Where the disk will not take them, nothing
  /// is kept and nothing is said: it would only have saved time.
  void keep(std::span<const int32_t> prompt, const GrowingKvCache& cache) const;

 private:
  void make_room(int64_t bytes) const;

  std::string folder_;  // of all readers
  std::string own_;     // of this one
  int64_t most_bytes_;
};

}  // namespace martlet::infer
