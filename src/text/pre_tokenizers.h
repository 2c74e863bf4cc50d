#pragma once

// Pre-tokenizers: how a normalised text is cut into the pieces that the model sees. Pieces flow through the
// chain one at a time, so that a long text needs no list of them.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "base/json.h"
#include "text/aligned_text.h"
#include "text/regex.h"
#include "text/word_patterns.h"

namespace martlet::text {

/// A part of a text on its way to the model.
struct Piece {
  std::string_view text;  ///< valid UTF-8, never empty
  const Span* origin =
      nullptr;        ///< alignment of each byte; null when `text` stands unchanged at `base`, or untracked
  uint32_t base = 0;  ///< where the original of `text` begins, when `origin` is null
  bool tracked = false;  ///< whether alignment must be kept when the text is rewritten

  /// The part [begin, end) of this.
  Piece part(size_t begin, size_t end) const {
    return {text.substr(begin, end - begin), origin == nullptr ? nullptr : origin + begin,
            base + static_cast<uint32_t>(begin), tracked};
  }
  /// Where the original of byte `at` begins.
  uint32_t original_begin() const { return origin == nullptr ? base : origin[0].begin; }
};

using PieceSink = FunctionRef<void(const Piece&)>;

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  /// Gives the parts of `piece` to `sink` in order; empty parts are left out.
  virtual void split(const Piece& piece, PieceSink sink) const = 0;
  /// True when pieces depend on where in the original text they stand.
  virtual bool needs_position() const { return false; }
};

/// What becomes of the matches of a splitting pattern: "final--countdown" at "-" gives
enum class SplitBehaviour {
  kRemoved,             ///< final countdown
  kIsolated,            ///< final - - countdown
  kMergedWithPrevious,  ///< final- - countdown
  kMergedWithNext,      ///< final - -countdown
  kContiguous           ///< final -- countdown
};

/// A chain of pre-tokenizers. `bytes_at_end` tells that the last one only writes bytes in the byte-level
/// alphabet; it is left out of the chain then, for a model that works on bytes itself.
struct PreTokenizerChain {
  std::vector<std::unique_ptr<PreTokenizer>> parts;
  bool bytes_at_end = false;

  /// Runs the whole chain.
  void split(const Piece& piece, PieceSink sink) const { split_from(0, piece, sink); }
  bool needs_position() const;

 private:
  void split_from(size_t part, const Piece& piece, PieceSink sink) const;
};

/// The `pre_tokenizer` of a tokenizer.json; an empty chain for null. To add a kind: a class and one line in
/// the list of pre_tokenizers_json.cc.
PreTokenizerChain read_pre_tokenizers(const Json& json, const std::string& where);

std::unique_ptr<PreTokenizer> make_split(Pattern pattern, SplitBehaviour behaviour, bool invert);
std::unique_ptr<PreTokenizer> make_byte_level(bool add_prefix_space, bool split_words, bool write_alphabet);
std::unique_ptr<PreTokenizer> make_metaspace(char32_t replacement, bool prepend_first, bool prepend_always,
                                             bool split);
/// Splits at characters with a trait of unicode.h.
std::unique_ptr<PreTokenizer> make_trait_split(unsigned trait, SplitBehaviour behaviour);
std::unique_ptr<PreTokenizer> make_character_split(char32_t delimiter);
/// Keeps runs of word characters and runs of other characters that are no spaces.
std::unique_ptr<PreTokenizer> make_whitespace();
std::unique_ptr<PreTokenizer> make_fixed_length(int64_t characters);
/// Cuts where the script changes; kana count as Han, and a space fits any script.
std::unique_ptr<PreTokenizer> make_unicode_scripts();

}  // namespace martlet::text
