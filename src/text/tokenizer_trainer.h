#pragma once

// Training a byte-pair tokenizer on text: the words of the texts are counted as they come, then merged
// (bpe_trainer.h). The result is a tokenizer.json that this library, `tokenizers` and transformers read.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "text/bpe_trainer.h"
#include "text/word_patterns.h"

namespace martlet::text {

/// A tokenizer.json without vocabulary and merges: how texts become words, and ids text.
struct TokenizerDesign {
  Json skeleton;                            ///< as tokenizer.json; "model" lacks "vocab" and "merges"
  std::vector<std::string> special_tokens;  ///< cut out of texts by whoever uses the tokenizer; ids from 0 on
  std::vector<std::string> first_tokens;    ///< ordinary tokens that come next whether words have them or not
  std::vector<char32_t> alphabet;           ///< characters that have tokens in any case
};

/// Bytes, cut into words by `pattern`: any text has tokens.
TokenizerDesign byte_level_design(WordPattern pattern, std::vector<std::string> special_tokens);
/// Characters, words marked by U+2581 where they begin; what has no token becomes bytes <0x..>. The first
/// special token stands for the unknown, which then never comes up.
TokenizerDesign sentence_piece_design(std::vector<std::string> special_tokens);

class TokenizerTrainer {
 public:
  /// Of `options`, the first tokens, the alphabet and `bytes` come from the design. Throws BadInput for a
  /// design that is no tokenizer or names special tokens twice.
  TokenizerTrainer(TokenizerDesign design, BpeTrainerOptions options);
  ~TokenizerTrainer();
  TokenizerTrainer(const TokenizerTrainer&) = delete;
  TokenizerTrainer& operator=(const TokenizerTrainer&) = delete;

  /// Counts the words of texts, on all threads; they are not kept. What is not valid UTF-8 counts as U+FFFD.
  void add(std::span<const std::string_view> texts);
  /// The tokenizer.json. Call once: it uses up what was counted.
  Json train(Progress& progress = no_progress());

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace martlet::text
