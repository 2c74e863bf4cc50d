#pragma once

// How often each word of a corpus occurs: all that training a tokenizer needs to know of it. Memory grows
// with the distinct words, not with the corpus: about 40 bytes each, and their letters.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace martlet::text {

class WordCounts {
 public:
  /// `word` is shorter than 4 GiB. Throws kExhausted beyond 2^32 distinct words.
  void add(std::string_view word, int64_t count = 1);
  /// Adds all of `other`.
  void add(const WordCounts& other);

  /// Distinct words; they are numbered as they came.
  size_t size() const { return entries_.size(); }
  std::string_view word(size_t index) const {
    return std::string_view(bytes_).substr(entries_[index].begin, entries_[index].length);
  }
  int64_t count(size_t index) const { return entries_[index].count; }
  /// Bytes of the distinct words together.
  size_t bytes() const { return bytes_.size(); }

 private:
  struct Entry {
    uint64_t begin;
    int64_t count;
    uint32_t length;
    uint32_t tag;  // of the hash
  };
  static constexpr uint32_t kFree = UINT32_MAX;
  void grow();

  std::string bytes_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // places in entries_; a power of two, at most half full
};

}  // namespace martlet::text
