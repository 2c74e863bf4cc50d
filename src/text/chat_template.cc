#include "text/chat_template.h"

#include <unordered_map>

#include "base/error.h"
#include "base/utf8.h"
#include "text/template_globals.h"
#include "text/template_interpreter.h"
#include "text/template_runtime.h"
#include "text/template_syntax.h"

namespace martlet::text {
namespace {

using namespace jinja;  // this file is where the two meet

std::string clean(const std::string& text) {
  return is_valid_utf8(text) ? text : replace_invalid_utf8(text);
}

Value to_value(Runtime& runtime, const Json& json) {
  switch (json.kind()) {
    case Json::Kind::kNull:
      return Value::none();
    case Json::Kind::kBoolean:
      return Value::boolean(json.boolean());
    case Json::Kind::kInteger:
      return Value::integer(json.integer());
    case Json::Kind::kReal:
      return Value::real(json.real());
    case Json::Kind::kString:
      return runtime.text(clean(json.string()));
    case Json::Kind::kArray: {
      const DepthGuard guard(runtime);
      std::vector<Value> items;
      items.reserve(json.array().size());
      for (const Json& item : json.array()) items.push_back(to_value(runtime, item));
      return runtime.list(std::move(items));
    }
    case Json::Kind::kObject: {
      const DepthGuard guard(runtime);
      Ref<DictObject> dict(new DictObject);
      for (const auto& [key, value] : json.object())
        dict->insert(runtime, runtime.text(clean(key)), to_value(runtime, value));
      return runtime.dict(dict);
    }
  }
  return Value::none();
}

std::unordered_map<std::string, Value> variables_of(Runtime& runtime, const Json& messages,
                                                    const RenderOptions& options) {
  std::unordered_map<std::string, Value> variables;
  add_globals(runtime, variables);
  variables["messages"] = to_value(runtime, messages);
  variables["tools"] = to_value(runtime, options.tools);
  variables["documents"] = to_value(runtime, options.documents);
  variables["add_generation_prompt"] = Value::boolean(options.add_generation_prompt);
  // A token that the model does not have is no variable at all, as in transformers.
  if (!options.bos_token.empty()) variables["bos_token"] = runtime.text(clean(options.bos_token));
  if (!options.eos_token.empty()) variables["eos_token"] = runtime.text(clean(options.eos_token));
  if (options.extra.is_null()) return variables;
  if (!options.extra.is_object())
    bad_input("the template's extra variables must be a table, not {}", options.extra.kind_name());
  for (const auto& [name, value] : options.extra.object()) variables[name] = to_value(runtime, value);
  return variables;
}

RenderedChat run(const TemplateProgram& program, const Json& messages, const RenderOptions& options,
                 bool spans) {
  Runtime runtime(options.limits, options.now);  // outlives every value below
  try {
    const auto variables = variables_of(runtime, messages, options);
    return Interpreter(program, runtime, variables, spans).run();
  } catch (Error& error) {
    throw error.within(fmt::format("{}: line {}", program.name, runtime.line()));
  }
}

}  // namespace

ChatTemplate ChatTemplate::parse(std::string_view source, std::string name) {
  if (!is_valid_utf8(source)) bad_input("{}: the chat template is not valid UTF-8", name);
  try {
    return ChatTemplate(std::make_shared<const jinja::TemplateProgram>(jinja::parse_template(source, name)));
  } catch (Error& error) {
    throw error.within(name);
  }
}

std::string ChatTemplate::render(const Json& messages, const RenderOptions& options) const {
  return run(*program_, messages, options, false).text;
}

RenderedChat ChatTemplate::render_with_spans(const Json& messages, const RenderOptions& options) const {
  return run(*program_, messages, options, true);
}

const std::string& ChatTemplate::source() const {
  return program_->source;
}
const std::string& ChatTemplate::name() const {
  return program_->name;
}
bool ChatTemplate::marks_generation() const {
  return program_->marks_generation;
}

}  // namespace martlet::text
