#pragma once

#include <string>

#include "base/json.h"
#include "infer/language_model.h"
#include "text/chat_template.h"

namespace martlet::cli {

/// The chat templates of a directory or a GGUF file; no weights are read.
text::ChatFormat load_chat_format(const std::string& path);
/// The same of a model that is open already; a GGUF file is not opened again.
text::ChatFormat chat_format_of(const infer::LanguageModel& model);

/// The prompt text of a request: `messages`, optionally `tools`, `documents`, `add_generation_prompt` (true
/// unless said otherwise); every other member is a variable of the template. `where` stands before errors.
std::string render_request(const text::ChatFormat& format, const Json& request, const std::string& where);

}  // namespace martlet::cli
