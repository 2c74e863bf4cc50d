// Which templates a model ships, and the tokens they print.

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "text/chat_template.h"

namespace martlet::text {
namespace {

// A token is text, or an object that holds it as `content`.
std::string token_text(const Json& config, std::string_view key) {
  const Json* token = config.find(key);
  if (token == nullptr || token->is_null()) return {};
  if (token->is_string()) return token->string();
  const Json* content = token->find("content");
  if (content == nullptr || !content->is_string())
    bad_input("tokenizer_config.json: '{}' must be text or have text as 'content'", key);
  return content->string();
}

void add(ChatFormat& format, std::string name, std::string_view source) {
  const bool known = std::any_of(format.templates.begin(), format.templates.end(),
                                 [&](const auto& t) { return t.name == name; });
  if (known) return;
  const std::string shown = name == "default" ? "chat template" : "chat template '" + name + "'";
  format.templates.push_back({std::move(name), ChatTemplate::parse(source, shown)});
}

void add_configured(ChatFormat& format, const Json& templates) {
  if (templates.is_null()) return;
  if (templates.is_string()) return add(format, "default", templates.string());
  if (templates.is_object()) {
    for (const auto& [name, source] : templates.object()) add(format, name, source.string());
    return;
  }
  if (!templates.is_array())
    bad_input("tokenizer_config.json: 'chat_template' must be text or a list, not {}", templates.kind_name());
  for (const Json& entry : templates.array())
    add(format, entry.at("name").string(), entry.at("template").string());
}

}  // namespace

ChatFormat ChatFormat::from_config(const Json& tokenizer_config, std::string_view template_file) {
  if (!tokenizer_config.is_object() && !tokenizer_config.is_null()) {
    bad_input("tokenizer_config.json must hold a table, not {}", tokenizer_config.kind_name());
  }
  ChatFormat format;
  format.bos_token = token_text(tokenizer_config, "bos_token");
  format.eos_token = token_text(tokenizer_config, "eos_token");
  if (!template_file.empty()) {
    add(format, "default", template_file);
  } else if (const Json* templates = tokenizer_config.find("chat_template")) {
    add_configured(format, *templates);
  }
  return format;
}

ChatFormat ChatFormat::load(const std::string& directory) {
  const auto path = [&](const char* name) { return directory + "/" + name; };
  const Json config =
      file_exists(path("tokenizer_config.json")) ? Json::parse_file(path("tokenizer_config.json")) : Json();
  std::string file;
  if (file_exists(path("chat_template.jinja"))) {
    file = read_file(path("chat_template.jinja"));
  } else if (file_exists(path("chat_template.json"))) {
    const Json older = Json::parse_file(path("chat_template.json"));
    if (const Json* text = older.find("chat_template"); text != nullptr && text->is_string())
      file = text->string();
  }
  ChatFormat format = from_config(config, file);
  if (!is_directory(path("chat_templates"))) return format;
  std::vector<std::filesystem::path> more;
  for (const auto& entry : std::filesystem::directory_iterator(path("chat_templates"))) {
    if (entry.path().extension() == ".jinja") more.push_back(entry.path());
  }
  std::sort(more.begin(), more.end());
  for (const auto& entry : more) add(format, entry.stem().string(), read_file(entry.string()));
  return format;
}

const ChatTemplate& ChatFormat::choose(bool with_tools) const {
  const auto find = [&](std::string_view name) -> const ChatTemplate* {
    const auto at =
        std::find_if(templates.begin(), templates.end(), [&](const Named& t) { return t.name == name; });
    return at == templates.end() ? nullptr : &at->chat_template;
  };
  if (const ChatTemplate* tools = with_tools ? find("tool_use") : nullptr) return *tools;
  if (const ChatTemplate* usual = find("default")) return *usual;
  if (templates.size() == 1) return templates.front().chat_template;
  if (templates.empty())
    bad_input(
        "this model has no chat template (neither 'chat_template' in tokenizer_config.json nor "
        "chat_template.jinja)");
  bad_input("this model has {} chat templates and none is named 'default'", templates.size());
}

}  // namespace martlet::text
