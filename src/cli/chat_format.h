#pragma once

#include <string>

#include "base/json.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace martlet::cli {

/// The chat templates of a directory or a GGUF file; no weights are read.
text::ChatFormat load_chat_format(const std::string& path);

/// The prompt text of a request: `messages`, optionally `tools`, `documents`, `add_generation_prompt` (true
/// unless said otherwise); every other member is a variable of the template. `where` stands before errors.
std::string render_request(const text::ChatFormat& format, const Json& request, const std::string& where);

}  // namespace martlet::cli
