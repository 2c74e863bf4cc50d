#include "text/bpe_alphabet.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/unicode.h"

namespace martlet::text {

std::vector<char32_t> BpeAlphabet::kept_characters(const WordCounts& words,
                                                   const BpeTrainerOptions& options) const {
  std::vector<int64_t> counts(0x110000, 0);
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words.word(i);
    for (size_t at = 0; at < word.size();) {
      if (bytes_) {
        counts[byte_alphabet()[static_cast<unsigned char>(word[at++])]] += words.count(i);
      } else {
        const Utf8Character character = character_at(word.data() + at);
        counts[character.value] += words.count(i);
        at += character.length;
      }
    }
  }
  for (const char32_t c : options.alphabet) counts[c] = std::numeric_limits<int64_t>::max();
  std::vector<char32_t> kept;
  for (char32_t c = 0; c < counts.size(); ++c) {
    if (counts[c] > 0) kept.push_back(c);
  }
  const auto limit = static_cast<size_t>(std::max<int64_t>(0, options.alphabet_limit.value_or(INT64_MAX)));
  if (kept.size() > limit) {
    std::stable_sort(kept.begin(), kept.end(), [&](char32_t a, char32_t b) { return counts[a] > counts[b]; });
    kept.resize(limit);
    std::sort(kept.begin(), kept.end());
  }
  return kept;
}

BpeAlphabet::BpeAlphabet(const WordCounts& words, const BpeTrainerOptions& options) : bytes_(options.bytes) {
  for (const std::string& token : options.first_tokens) {
    if (!is_valid_utf8(token) || token.empty()) bad_input("a special token must be text, and not empty");
    tokens_.add(token, tokens_.size());
  }
  for (const char32_t c : kept_characters(words, options)) {
    std::string token;
    append_utf8(token, c);
    tokens_.add(token, tokens_.size());
  }
  if (tokens_.size() > options.vocabulary_size) {
    bad_input("a vocabulary of {} tokens is too small: special tokens and single characters are {}",
              options.vocabulary_size, tokens_.size());
  }
  ids_.assign(bytes_ ? 256 : 0x110000, Vocabulary::kNone);
  for (int64_t id = 0; id < tokens_.size(); ++id) {
    const std::string_view token = tokens_.token(id);
    if (character_length(token.front()) != token.size()) continue;
    const char32_t c = character_at(token.data()).value;
    if (!bytes_) {
      ids_[c] = static_cast<int32_t>(id);
    } else if (const auto byte = byte_of(c)) {
      ids_[*byte] = static_cast<int32_t>(id);
    }
  }
}

}  // namespace martlet::text
