#pragma once

// How GGUF files name the way that a byte-level tokenizer cuts words (`tokenizer.ggml.pre`).

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace martlet::text {

struct GgufWords {
  std::vector<std::string_view> expressions;  ///< each cuts what the ones before it left
  bool whole_words = false;                   ///< a word that is a token stays whole, whatever the merges say
  bool adds_bos = false;                      ///< where the file does not say
};

/// Throws BadInput, naming what is known, for an unknown name. An empty name is "default".
GgufWords gguf_words(std::string_view name);

/// The way back: the name under which these expressions, in this order, are known; nothing where they are
/// not.
std::optional<std::string_view> gguf_words_name(std::span<const std::string> expressions, bool whole_words);

}  // namespace martlet::text
