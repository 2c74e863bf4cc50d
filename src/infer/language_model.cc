#include "infer/language_model.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/mapped_parts.h"
#include "models/gguf_vocabulary.h"

namespace martlet::infer {
namespace {

// End-of-turn tokens by name: GGUF files and many directories name only one end token, and chat models end
// turns by another.
constexpr std::string_view kTurnEnds[] = {"<|im_end|>",    "<|eot_id|>", "<end_of_turn>", "<|end|>",
                                          "<|endoftext|>", "</s>",       "<eos>"};

void add_stop(std::vector<int32_t>& ids, std::optional<int32_t> id) {
  if (id && std::find(ids.begin(), ids.end(), *id) == ids.end()) ids.push_back(*id);
}

std::vector<int32_t> stop_ids_of(const models::OpenModel& model, const text::Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  add_stop(ids, tokenizer.eos());
  if (!model.files.generation_config.empty()) {
    const Json config = Json::parse_file(model.files.generation_config);
    if (const Json* ends = config.find("eos_token_id")) {
      if (ends->is_integer()) add_stop(ids, static_cast<int32_t>(ends->integer()));
      if (ends->is_array())
        for (const Json& end : ends->array()) add_stop(ids, static_cast<int32_t>(end.integer()));
    }
  }
  for (const std::string_view name : kTurnEnds)
    if (const auto id = tokenizer.id(name); id && tokenizer.is_special(*id)) add_stop(ids, id);
  return ids;
}

}  // namespace

LanguageModel LanguageModel::load(const std::string& path, const models::OpenOptions& options) {
  LanguageModel model;
  model.model_ = models::open_model(path, options);
  if (model.model_.gguf) {
    if (models::has_vocabulary(*model.model_.gguf))
      model.tokenizer_ = text::Tokenizer::from_gguf(models::gguf_vocabulary(*model.model_.gguf));
    // The vocabulary's pages, which are read no more.
    for (const std::string& part : model.model_.gguf->paths()) forget_mapped_file(part);
  } else if (!model.model_.files.tokenizer.empty()) {
    model.tokenizer_ = text::Tokenizer::load(path);
  }
  if (model.tokenizer_) model.stop_ids_ = stop_ids_of(model.model_, *model.tokenizer_);
  return model;
}

const text::Tokenizer& LanguageModel::tokenizer() const {
  if (!tokenizer_) bad_input("{} has no tokenizer; give token ids instead of text", model_.files.path);
  return *tokenizer_;
}

text::Tokenizer load_tokenizer(const std::string& path) {
  if (is_directory(path)) return text::Tokenizer::load(path);
  const formats::GgufFile file(path);
  return text::Tokenizer::from_gguf(models::gguf_vocabulary(file));
}

}  // namespace martlet::infer
