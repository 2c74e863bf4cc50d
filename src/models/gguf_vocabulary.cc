#include "models/gguf_vocabulary.h"

#include "text/gguf_from_json.h"

namespace martlet::models {
namespace {

std::optional<int64_t> optional_integer(const formats::GgufMetadata& metadata, std::string_view key) {
  return metadata.has(key) ? std::optional(metadata.integer(key)) : std::nullopt;
}

std::optional<bool> optional_boolean(const formats::GgufMetadata& metadata, std::string_view key) {
  return metadata.has(key) ? std::optional(metadata.boolean(key)) : std::nullopt;
}

/// The id under `key` of the config where the tokenizer names none.
void fill_id(const Json& config, std::string_view key, std::optional<int64_t>& id) {
  const Json* value = config.find(key);
  if (value != nullptr && value->is_array() && !value->array().empty()) value = &value->array().front();
  if (!id && value != nullptr && value->is_integer()) id = value->integer();
}

/// The end of a turn, where the generation config names another end than the tokenizer's.
std::optional<int64_t> turn_end(const OpenModel& model, std::optional<int64_t> eos) {
  if (model.files.generation_config.empty()) return std::nullopt;
  const Json config = Json::parse_file(model.files.generation_config);
  const Json* ends = config.find("eos_token_id");
  if (ends == nullptr) return std::nullopt;
  for (const Json& end : ends->is_array() ? ends->array() : Json::Array{*ends})
    if (end.is_integer() && end.integer() != eos) return end.integer();
  return std::nullopt;
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

void add_vocabulary(const OpenModel& model, formats::GgufPairs& pairs) {
  if (model.files.tokenizer.empty()) {
    pairs.text("tokenizer.ggml.model", "no_vocab");
    return;
  }
  const text::Tokenizer tokenizer = text::Tokenizer::load(model.files.path);
  text::GgufTokenizer written =
      text::gguf_tokenizer(Json::parse_file(model.files.tokenizer), tokenizer,
                           model.tree->shape().vocabulary_size, model.files.tokenizer);
  fill_id(model.config, "bos_token_id", written.bos);
  fill_id(model.config, "eos_token_id", written.eos);
  fill_id(model.config, "pad_token_id", written.pad);
  const text::GgufVocabulary view = written.view();
  pairs.text("tokenizer.ggml.model", view.model).text("tokenizer.ggml.pre", view.pre);
  pairs.texts("tokenizer.ggml.tokens", view.tokens).integers("tokenizer.ggml.token_type", view.types);
  if (!view.scores.empty()) pairs.reals("tokenizer.ggml.scores", view.scores);
  if (!view.merges.empty()) pairs.texts("tokenizer.ggml.merges", view.merges);
  const auto add_id = [&](std::string_view name, std::optional<int64_t> id) {
    if (id && *id >= 0 && *id < static_cast<int64_t>(view.tokens.size()))
      pairs.integer(fmt::format("tokenizer.ggml.{}_token_id", name), *id);
  };
  add_id("bos", view.bos);
  add_id("eos", view.eos);
  add_id("eot", turn_end(model, view.eos));
  add_id("unknown", view.unk);
  add_id("padding", view.pad);
  pairs.boolean("tokenizer.ggml.add_bos_token", written.add_bos);
  pairs.boolean("tokenizer.ggml.add_eos_token", written.add_eos);
  if (view.add_space_prefix) pairs.boolean("tokenizer.ggml.add_space_prefix", *view.add_space_prefix);
  if (!view.chat_template.empty()) pairs.text("tokenizer.chat_template", view.chat_template);
}

}  // namespace martlet::models
