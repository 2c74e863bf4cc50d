#pragma once

#include "base/json.h"
#include "text/tokenizer.h"

namespace martlet::text {

/// A GGUF file's tokenizer as the files of a Hugging Face directory, which give the same ids.
struct TokenizerFiles {
  Json tokenizer;  ///< tokenizer.json
  Json config;     ///< tokenizer_config.json: special tokens by name, chat template
};

/// Throws BadInput for what `Tokenizer::from_gguf` refuses.
///
/// SentencePiece files ("llama") have scores where tokenizer.json wants merges: every way to join a token of
/// two others becomes a merge, the best score first, as transformers converts them.
TokenizerFiles tokenizer_files(const GgufVocabulary& vocabulary);

}  // namespace martlet::text
