#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "text/tokenizer.h"

namespace martlet::text {

/// A tokenizer as GGUF metadata, with texts of its own: the way back of `tokenizer_files`.
struct GgufTokenizer {
  std::string model;  ///< "gpt2" or "llama"
  std::string pre;
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;
  std::vector<std::string> merges;
  std::optional<int64_t> bos, eos, unk, pad;
  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix = false;
  std::string chat_template;

  /// Views of the texts, which must outlive it.
  GgufVocabulary view() const;
};

/// `json` is the tokenizer.json that `tokenizer` was read from, `source` how errors name it. The vocabulary
/// is filled up to `rows`, the model's number of embeddings, with unused tokens. Byte-level BPE becomes
/// "gpt2"; BPE with byte tokens becomes "llama", whose scores are the ranks of the merges. Throws BadInput
/// for other models, for a way to cut words that has no name in GGUF files, and where the result gives other
/// ids than `tokenizer` on texts of many scripts and on the vocabulary's own tokens. A normalisation to NFC,
/// which GGUF files cannot say, is passed over as other converters do.
GgufTokenizer gguf_tokenizer(const Json& json, const Tokenizer& tokenizer, int64_t rows,
                             const std::string& source);

}  // namespace martlet::text
