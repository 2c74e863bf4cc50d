#pragma once

// Where a text can be cut without changing its merges.
//
// Merging whole sentences (SentencePiece's way, without words) is slow, and no sentence comes twice. But a
// merge can reach over the boundary of two characters only if some token has these two side by side.
// Everywhere else the text may be cut, and the parts, mostly words, are short and come again. In a vocabulary
// whose tokens hold a space at most at their beginning, every space is such a place.

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/unicode.h"

namespace martlet::text {

class Joinable {
 public:
  Joinable() : ascii_(128 * 128, 0), others_(kBits, false) {}

  /// Notes the neighbours within a token (valid UTF-8).
  void add_token(std::string_view token);
  /// From now on a character joins whatever it stands beside unless `is_known(character)`: for a model that
  /// fuses unknown neighbours. Call after the tokens.
  void add_unknown(const std::vector<bool>& is_known);

  /// False only when no token can reach over the boundary of `left` and `right`.
  bool may_join(char32_t left, char32_t right) const {
    if ((left | right) < 0x80) return ascii_[left * 128 + right] != 0;
    if (others_[place(left, right)]) return true;
    return !known_.empty() && (!known_[left] || !known_[right]);
  }

  /// Calls `part` for each part of `text` (valid UTF-8) between two cuts.
  template <typename Part>
  void cut(std::string_view text, Part&& part) const {
    size_t begin = 0;
    char32_t last = 0;
    for (size_t at = 0; at < text.size();) {
      const Utf8Character character = character_at(text.data() + at);
      if (at != begin && !may_join(last, character.value)) {
        part(begin, at);
        begin = at;
      }
      last = character.value;
      at += character.length;
    }
    if (begin != text.size()) part(begin, text.size());
  }

 private:
  static constexpr size_t kBits = size_t{1} << 22;
  // Pairs beyond ASCII share bits: a wrong yes only makes a part longer.
  static size_t place(char32_t left, char32_t right) {
    const uint64_t key = (uint64_t{left} << 21 | right) * 0x9E3779B97F4A7C15ULL;
    return key >> 42;
  }

  std::vector<uint8_t> ascii_;
  std::vector<bool> others_;
  std::vector<bool> known_;  // by code point; empty: all are
};

}  // namespace martlet::text
