#include "cli/prompts.h"

#include <optional>

#include "base/error.h"
#include "cli/chat_format.h"
#include "cli/ids.h"
#include "cli/lines.h"

namespace martlet::cli {

std::vector<std::vector<int32_t>> encode_prompts(const infer::LanguageModel& model,
                                                 const std::vector<std::string>& texts) {
  return model.tokenizer().encode_batch(texts);
}

std::vector<std::vector<int32_t>> read_prompts(const infer::LanguageModel& model, const std::string& file) {
  std::vector<std::vector<int32_t>> prompts;
  std::optional<text::ChatFormat> format;  // only where a line has messages
  for_each_json_line(read_input(file), file, [&](const Json& line, const std::string& where) {
    if (const Json* ids = line.find("ids")) {
      prompts.push_back(ids_of(*ids, where));
      return;
    }
    for (const char* key : {"prompt", "text"})
      if (const Json* text = line.find(key)) {
        if (!text->is_string()) bad_input("{}: '{}' must be text, got {}", where, key, text->kind_name());
        prompts.push_back(model.tokenizer().encode(text->string()));
        return;
      }
    if (line.find("messages") == nullptr) bad_input("{}: expected one of prompt, messages, ids", where);
    if (!format) format = chat_format_of(model);
    // The template writes the special tokens itself.
    prompts.push_back(
        model.tokenizer().encode(render_request(*format, line, where), {.add_special_tokens = false}));
  });
  if (prompts.empty())
    bad_input("{} holds no prompts; expected one a line, such as {{\"prompt\": \"Hello\"}}", file);
  return prompts;
}

}  // namespace martlet::cli
