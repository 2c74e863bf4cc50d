#pragma once

// Tokens that are cut out of a text before anything else happens to it: special tokens and others that were
// added to a vocabulary after training.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/function_ref.h"
#include "text/byte_trie.h"

namespace martlet::text {

struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool single_word = false;  ///< not within a word
  bool lstrip = false;       ///< takes the white space on its left
  bool rstrip = false;       ///< takes the white space on its right
  bool normalized =
      true;  ///< looked for, in its normalised form, in the normalised text; else in the text as given
  bool special = false;  ///< left out of decoded text on request; may be left in the text as plain characters
};

/// Which of several tokens at one place count.
enum class MatchOrder {
  kLeftmostLongest,  ///< from left to right, the longest at each place (tokenizer.json)
  kLongestFirst  ///< all places of the longest token, then of the next in what is left; flags do not count
                 ///< (GGUF)
};

class AddedTokens {
 public:
  AddedTokens() = default;
  /// `normalise` gives the normalised form of a text.
  AddedTokens(std::vector<AddedToken> tokens, const std::function<std::string(std::string_view)>& normalise,
              MatchOrder order);

  /// A part of a text: a token, or null for text between tokens.
  using Sink = FunctionRef<void(size_t begin, size_t end, const AddedToken* token)>;
  /// Cuts `text` at the tokens that are looked for in it as given. With `keep_special` special tokens count
  /// as text.
  void cut_raw(std::string_view text, bool keep_special, Sink sink) const {
    cut(raw_, text, keep_special, sink);
  }
  /// Cuts `text`, which is normalised, at the tokens that are looked for there.
  void cut_normalized(std::string_view text, bool keep_special, Sink sink) const {
    cut(normalized_, text, keep_special, sink);
  }

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  /// The token with this id, or null.
  const AddedToken* find(int32_t id) const;
  /// The token with this content, or null.
  const AddedToken* find(std::string_view content) const;
  /// The normalised form of `token`, as decoders must see it.
  const std::string& normalized_form(const AddedToken& token) const {
    return forms_[static_cast<size_t>(&token - tokens_.data())];
  }

 private:
  struct Finder {
    Finder() = default;
    explicit Finder(const std::vector<std::pair<std::string_view, int32_t>>& entries);

    ByteTrie trie;                // values: places in tokens_
    std::vector<size_t> lengths;  // of the tokens, each once, the greatest first
  };
  struct Found {
    size_t begin;
    size_t end;
    int32_t place;
  };
  void cut(const Finder& finder, std::string_view text, bool keep_special, Sink sink) const;
  void cut_leftmost(const Finder& finder, std::string_view text, bool keep_special, Sink sink) const;
  void cut_longest(const Finder& finder, std::string_view text, bool keep_special, Sink sink) const;

  std::vector<AddedToken> tokens_;    // by id
  std::vector<std::string> forms_;    // normalised, in the same order
  std::vector<uint32_t> by_content_;  // places in tokens_
  Finder raw_, normalized_;
  MatchOrder order_ = MatchOrder::kLeftmostLongest;
};

}  // namespace martlet::text
