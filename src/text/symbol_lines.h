#pragma once

// Words as lines of symbols that merge in place. Internal to training.
//
// All words lie one behind the other, a slot for each first symbol, with an end between. A symbol's token
// stands in its first slot; when it covers more than one slot, its second and its last hold its length,
// negative, so that its neighbours on both sides are one step away; other slots within hold anything
// negative. Four bytes a slot are all.

#include <cstdint>
#include <vector>

namespace martlet::text {

class SymbolLines {
 public:
  static constexpr int32_t kEnd = INT32_MAX;

  SymbolLines() : slots_(1, kEnd), words_(1, 0) {}

  void reserve(size_t symbols, size_t words) {
    slots_.reserve(symbols + words + 1);
    words_.reserve(symbols + words + 1);
  }
  void add_symbol(int32_t token) {
    slots_.push_back(token);
    words_.push_back(static_cast<uint32_t>(begins_.size() - 1));
  }
  void begin_word() { begins_.push_back(static_cast<uint32_t>(slots_.size())); }
  void end_word() { add_symbol(kEnd); }

  uint32_t size() const { return static_cast<uint32_t>(slots_.size()); }
  /// The token of the symbol that begins at `at`, kEnd between words, or negative within a symbol.
  int32_t token(uint32_t at) const { return slots_[at]; }
  /// The beginning of the symbol after the one at `at`.
  uint32_t next(uint32_t at) const {
    const int32_t behind = slots_[at + 1];
    return behind >= 0 ? at + 1 : at + static_cast<uint32_t>(-behind);
  }
  /// The beginning of the symbol before the one at `at`.
  uint32_t previous(uint32_t at) const {
    const int32_t before = slots_[at - 1];
    return before >= 0 ? at - 1 : at - static_cast<uint32_t>(-before);
  }
  /// Joins the symbol at `left` and the one at `right`, its neighbour.
  void merge(uint32_t left, uint32_t right, int32_t token) {
    const uint32_t end = next(right);
    const int32_t length = static_cast<int32_t>(end - left);
    slots_[left] = token;
    slots_[right] = -1;
    slots_[left + 1] = -length;
    slots_[end - 1] = -length;
  }
  /// The word that the slot belongs to, and where a word begins.
  uint32_t word_of(uint32_t at) const { return words_[at]; }
  uint32_t begin_of(uint32_t word) const { return begins_[word]; }

 private:
  std::vector<int32_t> slots_;
  std::vector<uint32_t> words_;   // of each slot
  std::vector<uint32_t> begins_;  // of each word
};

}  // namespace martlet::text
