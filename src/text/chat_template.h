#pragma once

// Chat templates: the Jinja program that a model's publisher ships with its tokenizer, which turns messages
// into the prompt text. What a template prints here is byte for byte what jinja2's
// ImmutableSandboxedEnvironment (trim_blocks, lstrip_blocks, loopcontrols, the `generation` tag) prints. A
// template is a program from outside: it runs under limits of steps, memory, output and depth, and can reach
// nothing but its own variables.

#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace martlet::text {

namespace jinja {
struct TemplateProgram;
}

/// What one rendering may use; going past one is a BadInput error that names it. The defaults are far above
/// what any published template needs on a conversation of a million tokens, and are reached within seconds by
/// an endless one.
struct TemplateLimits {
  int64_t steps = 50'000'000;                 ///< evaluations, loop turns, and one for every 64 bytes handled
  int64_t memory_bytes = int64_t{512} << 20;  ///< held by the template's values at one time
  int64_t output_bytes = int64_t{64} << 20;   ///< printed, unfinished blocks and macros included
  int depth = 400;                            ///< nested evaluations: macros, recursive loops, expressions
};

/// The variables of one rendering. Null means absent where a member says so.
struct RenderOptions {
  Json tools;                          ///< list of tool descriptions; null prints as Python's None
  Json documents;                      ///< list of documents; null as above
  std::string bos_token;               ///< text of the begin token; empty when the model has none
  std::string eos_token;               ///< text of the end token
  bool add_generation_prompt = false;  ///< ask for the opening of the assistant's turn
  Json extra;  ///< object: further variables (`enable_thinking`, ...); they win over the above
  std::function<std::tm()> now;  ///< the clock of `strftime_now`; the local time when empty
  TemplateLimits limits;
};

/// A part of the rendered text: bytes [begin, end).
struct TextSpan {
  int64_t begin = 0;
  int64_t end = 0;
  friend bool operator==(const TextSpan&, const TextSpan&) = default;
};

struct RenderedChat {
  std::string text;
  /// What came out of `{% generation %}` blocks, in order: the words of the assistant, which training learns.
  /// A block within another belongs to that one's span.
  std::vector<TextSpan> generation;
};

/// A parsed template. Copies share the program; rendering is const and may be done from many threads at once.
class ChatTemplate {
 public:
  /// Throws BadInput with `name`, the line and the reason.
  static ChatTemplate parse(std::string_view source, std::string name);

  /// The prompt text. Throws BadInput when the template refuses (`raise_exception`), fails or passes a limit.
  std::string render(const Json& messages, const RenderOptions& options = {}) const;
  /// The same, and where generation blocks printed. Throws BadInput too where that cannot be known: for a
  /// block inside of a macro or of a captured block, whose text may end up anywhere.
  RenderedChat render_with_spans(const Json& messages, const RenderOptions& options = {}) const;

  const std::string& source() const;
  const std::string& name() const;
  /// True when the template has `{% generation %}` blocks.
  bool marks_generation() const;

 private:
  explicit ChatTemplate(std::shared_ptr<const jinja::TemplateProgram> program)
      : program_(std::move(program)) {}
  std::shared_ptr<const jinja::TemplateProgram> program_;
};

/// What a tokenizer's configuration says about chatting: its templates by name, and the tokens they print.
struct ChatFormat {
  struct Named {
    std::string name;  ///< "default", "tool_use", "rag", ...
    ChatTemplate chat_template;
  };
  std::vector<Named> templates;  ///< empty: the model has none
  std::string bos_token;
  std::string eos_token;

  /// `tokenizer_config` is the parsed tokenizer_config.json: `chat_template` is text or a list of {name,
  /// template}; tokens are text or objects with `content`. `template_file` is the text of chat_template.jinja
  /// beside it, empty when there is none; it wins over the configuration's own, as in transformers. Throws
  /// BadInput.
  static ChatFormat from_config(const Json& tokenizer_config, std::string_view template_file = {});
  /// Reads tokenizer_config.json, chat_template.jinja, chat_template.json and chat_templates/*.jinja of a
  /// model directory, whichever exist.
  static ChatFormat load(const std::string& directory);

  /// The template to use: "tool_use" where there are tools and such a template, "default" otherwise. Throws
  /// BadInput when there is none to choose.
  const ChatTemplate& choose(bool with_tools) const;
};

}  // namespace martlet::text
