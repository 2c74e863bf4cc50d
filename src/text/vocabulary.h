#pragma once

// Tokens and their ids, in flat memory: one block of bytes for all tokens and one open-addressing table.

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace martlet::text {

/// A fast hash of bytes, equal on every machine of one byte order; not for untrusted keys in unbounded
/// tables.
inline uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15ULL;  // 2^64 over the golden ratio
  uint64_t hash = bytes.size() * kMultiplier;
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t word = 0;
  for (; left >= 8; left -= 8, at += 8) {
    std::memcpy(&word, at, 8);
    hash = (hash ^ word) * kMultiplier;
    hash ^= hash >> 32;
  }
  if (left > 0) {
    word = 0;
    std::memcpy(&word, at, left);
    hash = (hash ^ word) * kMultiplier;
    hash ^= hash >> 32;
  }
  return hash * kMultiplier;
}

class Vocabulary {
 public:
  static constexpr int32_t kNone = -1;
  /// Ids are refused from here on: no vocabulary comes near, and a wild id must not cost memory.
  static constexpr int64_t kIdLimit = int64_t{1} << 26;

  /// Makes room for `tokens` tokens of `bytes` bytes together.
  void reserve(size_t tokens, size_t bytes);
  /// Adds a token. Returns false, and changes nothing, when the token or the id is taken or the id is out of
  /// range.
  bool add(std::string_view token, int64_t id);
  /// As add, but a token that is there already is found under the new id from now on.
  bool add_again(std::string_view token, int64_t id);
  /// Adds tokens under the ids from size() on. Returns how many: the first one that cannot be added ends it.
  size_t add_all(std::span<const std::string_view> tokens);

  /// The id of `token`, or kNone.
  int32_t find(std::string_view token) const;
  /// As find for each of `tokens`, with one wait for memory for many.
  void find_all(std::span<const std::string_view> tokens, std::span<int32_t> ids) const;
  /// Whether `id` has a token.
  bool has(int64_t id) const {
    return id >= 0 && id < size() && entries_[static_cast<size_t>(id)].begin != kAbsent;
  }
  /// The token of `id`; empty when it has none.
  std::string_view token(int64_t id) const;
  /// One more than the greatest id.
  int64_t size() const { return static_cast<int64_t>(entries_.size()); }
  /// Ids that have a token.
  int64_t count() const { return count_; }

 private:
  static constexpr uint64_t kAbsent = UINT64_MAX;
  struct Entry {
    uint64_t begin = kAbsent;
    uint32_t length = 0;
  };
  struct Slot {
    uint32_t tag = 0;
    int32_t id = kNone;
  };
  // Tokens whose places in memory are called for together.
  static constexpr size_t kBlock = 32;

  bool insert(std::string_view token, uint64_t hash, int64_t id, bool again);
  void grow(size_t slots);
  size_t home(uint64_t hash) const { return hash >> 32 & (slots_.size() - 1); }
  size_t slot_of(std::string_view token, uint64_t hash) const;

  std::string bytes_;
  std::vector<Entry> entries_;
  std::vector<Slot> slots_;  // a power of two, at most two thirds full
  int64_t count_ = 0;
};

/// Which pairs of tokens merge, and in which order.
class PairTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  explicit PairTable(size_t pairs);
  /// Adds a pair, or gives a known pair a new rank.
  void set(int32_t left, int32_t right, uint32_t rank);
  /// Calls for the memory that `find` and `set` of this pair will look at.
  void prefetch(int32_t left, int32_t right) const { __builtin_prefetch(&slots_[home(left, right)]); }
  /// The rank of the pair, or kNone.
  uint32_t find(int32_t left, int32_t right) const {
    for (size_t at = home(left, right);; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.left == left && slot.right == right) return slot.rank;
      if (slot.rank == kNone) return kNone;
    }
  }

 private:
  struct Slot {
    int32_t left = -1;
    int32_t right = -1;
    uint32_t rank = kNone;
  };
  size_t home(int32_t left, int32_t right) const {
    const uint64_t key = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
    const uint64_t hash = key * 0x9E3779B97F4A7C15ULL;
    return (hash ^ hash >> 29) >> 20 & mask_;
  }

  std::vector<Slot> slots_;  // a power of two, at most half full
  size_t mask_;
};

}  // namespace martlet::text
