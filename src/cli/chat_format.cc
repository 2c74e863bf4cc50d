#include "cli/chat_format.h"

#include "base/error.h"
#include "base/files.h"
#include "formats/gguf.h"
#include "infer/language_model.h"

namespace martlet::cli {

text::ChatFormat load_chat_format(const std::string& path) {
  if (is_directory(path)) return text::ChatFormat::load(path);
  const formats::GgufFile file(path);
  const text::GgufVocabulary vocabulary = infer::vocabulary_of(file);
  const auto text_of = [&](std::optional<int64_t> id) -> std::string {
    if (!id || *id < 0 || *id >= static_cast<int64_t>(vocabulary.tokens.size())) return "";
    return std::string(vocabulary.tokens[static_cast<size_t>(*id)]);
  };
  Json config;
  if (!vocabulary.chat_template.empty()) config.set("chat_template", vocabulary.chat_template);
  config.set("bos_token", text_of(vocabulary.bos));
  config.set("eos_token", text_of(vocabulary.eos));
  return text::ChatFormat::from_config(config);
}

std::string render_request(const text::ChatFormat& format, const Json& request, const std::string& where) {
  if (!request.is_object())
    bad_input("{}: expected a table with 'messages', got {}", where, request.kind_name());
  text::RenderOptions options;
  options.bos_token = format.bos_token;
  options.eos_token = format.eos_token;
  options.add_generation_prompt = true;
  options.extra = Json(Json::Object{});
  const Json* messages = nullptr;
  for (const auto& [key, value] : request.object()) {
    if (key == "messages")
      messages = &value;
    else if (key == "tools")
      options.tools = value;
    else if (key == "documents")
      options.documents = value;
    else if (key == "add_generation_prompt")
      options.add_generation_prompt = value.boolean();
    else
      options.extra.set(key, value);
  }
  if (messages == nullptr) bad_input("{}: 'messages' is missing", where);
  return format.choose(!options.tools.is_null()).render(*messages, options);
}

}  // namespace martlet::cli
