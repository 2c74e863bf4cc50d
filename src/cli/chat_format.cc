#include "cli/chat_format.h"

#include "base/error.h"
#include "base/files.h"
#include "formats/gguf.h"

namespace martlet::cli {

namespace {

/// Template and tokens only: the vocabulary stays where it is.
text::ChatFormat format_of(const formats::GgufFile& file) {
  const formats::GgufMetadata& metadata = file.metadata();
  std::vector<std::string_view> tokens;
  if (metadata.has("tokenizer.ggml.tokens")) tokens = metadata.texts("tokenizer.ggml.tokens");
  const auto token = [&](std::string_view key) -> std::string_view {
    const int64_t id = metadata.has(key) ? metadata.integer(key) : -1;
    return id >= 0 && id < static_cast<int64_t>(tokens.size()) ? tokens[static_cast<size_t>(id)] : "";
  };
  Json config;
  const std::string_view source = metadata.text("tokenizer.chat_template", "");
  if (!source.empty()) config.set("chat_template", source);
  config.set("bos_token", token("tokenizer.ggml.bos_token_id"));
  config.set("eos_token", token("tokenizer.ggml.eos_token_id"));
  return text::ChatFormat::from_config(config);
}

}  // namespace

text::ChatFormat load_chat_format(const std::string& path) {
  return is_directory(path) ? text::ChatFormat::load(path) : format_of(formats::GgufFile(path));
}

text::ChatFormat chat_format_of(const infer::LanguageModel& model) {
  const models::OpenModel& files = model.files();
  return files.gguf ? format_of(*files.gguf) : text::ChatFormat::load(files.files.path);
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
