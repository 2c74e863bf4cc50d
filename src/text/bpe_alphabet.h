#pragma once

// The characters that a byte-pair encoding begins with. Internal to training.

#include <array>
#include <vector>

#include "text/bpe_trainer.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace martlet::text {

/// The tokens before any merge, and which one each character of the words is.
class BpeAlphabet {
 public:
  BpeAlphabet(const WordCounts& words, const BpeTrainerOptions& options);

  const Vocabulary& tokens() const { return tokens_; }
  /// Calls `symbol(id)` for each character of `word` that has a token.
  template <typename Symbol>
  void for_each_symbol(std::string_view word, Symbol&& symbol) const {
    for (size_t at = 0; at < word.size();) {
      char32_t value = static_cast<unsigned char>(word[at]);
      uint32_t length = 1;
      if (!bytes_) {
        const Utf8Character character = character_at(word.data() + at);
        value = character.value;
        length = character.length;
      }
      const int32_t id = ids_[value];
      if (id != Vocabulary::kNone) symbol(id);
      at += length;
    }
  }

 private:
  std::vector<char32_t> kept_characters(const WordCounts& words, const BpeTrainerOptions& options) const;

  bool bytes_;
  Vocabulary tokens_;
  std::vector<int32_t> ids_;  // by byte or code point
};

}  // namespace martlet::text
