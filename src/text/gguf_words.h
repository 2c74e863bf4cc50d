#pragma once

// How GGUF files name the way that a byte-level tokenizer cuts words (`tokenizer.ggml.pre`).

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

}  // namespace martlet::text
