#include "models/gguf_vocabulary.h"

namespace martlet::models {
namespace {

std::optional<int64_t> optional_integer(const formats::GgufMetadata& metadata, std::string_view key) {
  return metadata.has(key) ? std::optional(metadata.integer(key)) : std::nullopt;
}

std::optional<bool> optional_boolean(const formats::GgufMetadata& metadata, std::string_view key) {
  return metadata.has(key) ? std::optional(metadata.boolean(key)) : std::nullopt;
}

}  // namespace

bool has_vocabulary(const formats::GgufFile& file) {
  return file.metadata().has("tokenizer.ggml.tokens");
}

text::GgufVocabulary gguf_vocabulary(const formats::GgufFile& file) {
  const formats::GgufMetadata& metadata = file.metadata();
  text::GgufVocabulary vocabulary;
  vocabulary.model = metadata.text("tokenizer.ggml.model");
  vocabulary.pre = metadata.text("tokenizer.ggml.pre", "");
  vocabulary.tokens = metadata.texts("tokenizer.ggml.tokens");
  if (metadata.has("tokenizer.ggml.scores"))
    for (const double score : metadata.reals("tokenizer.ggml.scores"))
      vocabulary.scores.push_back(static_cast<float>(score));
  if (metadata.has("tokenizer.ggml.token_type"))
    for (const int64_t type : metadata.integers("tokenizer.ggml.token_type"))
      vocabulary.types.push_back(static_cast<int32_t>(type));
  if (metadata.has("tokenizer.ggml.merges")) vocabulary.merges = metadata.texts("tokenizer.ggml.merges");
  vocabulary.bos = optional_integer(metadata, "tokenizer.ggml.bos_token_id");
  vocabulary.eos = optional_integer(metadata, "tokenizer.ggml.eos_token_id");
  vocabulary.unk = optional_integer(metadata, "tokenizer.ggml.unknown_token_id");
  vocabulary.pad = optional_integer(metadata, "tokenizer.ggml.padding_token_id");
  vocabulary.add_bos = optional_boolean(metadata, "tokenizer.ggml.add_bos_token");
  vocabulary.add_eos = optional_boolean(metadata, "tokenizer.ggml.add_eos_token");
  vocabulary.add_space_prefix = optional_boolean(metadata, "tokenizer.ggml.add_space_prefix");
  vocabulary.chat_template = metadata.text("tokenizer.chat_template", "");
  return vocabulary;
}

}  // namespace martlet::models
