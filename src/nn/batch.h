#pragma once

// The one batch form: a flat list of tokens, where each sequence starts, each token's position, and the cache
// that each sequence reads and writes. Models see [tokens, hidden] and a Batch. No padding anywhere.

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "ops/key_value_tiles.h"
#include "ops/rope.h"
#include "tensor/tensor.h"

namespace martlet::nn {

/// Keys and values of the positions that one sequence has seen, for every layer.
class KvCache {
 public:
  virtual ~KvCache() = default;
  /// Appends the new positions' keys and values [new, key_value_heads, dim] of one layer, in the format that
  /// this layer wants; gives all of them. Every layer appends as many positions in a forward.
  virtual ops::KeyValueTiles append(int64_t layer, ops::CacheFormat format, const Tensor& keys,
                                    const Tensor& values) = 0;
  /// Positions that every layer holds.
  virtual int64_t length() const = 0;
};

class Batch {
 public:
  /// One more sequence: its new ids, starting at the cache's length (or 0 without a cache). `whole_length`:
  /// where these are a piece of a prompt, the positions of the whole, since rotary frequencies may depend on
  /// it; a piece then gets the frequencies that it has in one forward over all of them.
  void add(std::span<const int32_t> ids, KvCache* cache = nullptr, int64_t whole_length = 0);
  /// As if each of the ids came alone, one forward after another: a forward over guesses.
  void add_stepwise(std::span<const int32_t> ids, KvCache* cache);

  int64_t token_count() const { return static_cast<int64_t>(ids_.size()); }
  int64_t sequence_count() const { return static_cast<int64_t>(caches_.size()); }
  std::span<const int32_t> ids() const { return ids_; }
  std::span<const int32_t> positions() const { return positions_; }
  int64_t begin(int64_t sequence) const { return starts_[static_cast<size_t>(sequence)]; }
  int64_t end(int64_t sequence) const { return starts_[static_cast<size_t>(sequence) + 1]; }
  KvCache* cache(int64_t sequence) const { return caches_[static_cast<size_t>(sequence)]; }
  /// The longest position + 1.
  int64_t longest() const { return longest_; }

  /// Cosines and sines of every token for one way of rotating, made at the first call and shared by all
  /// layers. `scaling` must outlive the batch. Where frequencies depend on the length, each token gets those
  /// of its own sequence.
  const ops::RopeTable& rope_table(const ops::RopeScaling& scaling) const;

 private:
  std::vector<int32_t> ids_;
  std::vector<int32_t> positions_;
  std::vector<int64_t> starts_ = {0};
  std::vector<KvCache*> caches_;
  std::vector<int64_t> lengths_;  // of each token's sequence, as its rotary frequencies see it
  int64_t longest_ = 0;
  // Shared by copies of a batch, until one of them gets another sequence.
  using RopeTables = std::vector<std::pair<const ops::RopeScaling*, std::shared_ptr<const ops::RopeTable>>>;
  std::shared_ptr<RopeTables> rope_tables_ = std::make_shared<RopeTables>();
};

/// Of rows [tokens, ...] those of each sequence's last token: [sequences, ...]. Every sequence has a token,
/// and rows are not recorded for a backward.
Tensor last_rows(const Tensor& rows, const Batch& batch);

}  // namespace martlet::nn
