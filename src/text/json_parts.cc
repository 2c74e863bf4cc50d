#include "text/json_parts.h"

#include <fmt/format.h>

#include "base/error.h"
#include "text/unicode.h"

namespace martlet::text {

namespace {

constexpr int kDeepest = 16;
constexpr int kMostParts = 256;

void visit(const Json& json, std::string_view list_key, const std::string& where, int depth, int& count,
           FunctionRef<void(const Json&, const std::string&)> read) {
  if (!json.is_object()) bad_input("{}: expected a table with a \"type\", got {}", where, json.kind_name());
  const Fields fields(json, where);
  if (fields.text("type") != "Sequence") {
    if (++count > kMostParts) bad_input("{}: more than {} parts stand in one sequence", where, kMostParts);
    read(json, where);
    return;
  }
  if (depth >= kDeepest) bad_input("{}: sequences are nested more than {} deep", where, kDeepest);
  const Json* list = fields.value(list_key);
  if (list == nullptr || !list->is_array()) bad_input("{}: a Sequence needs a list \"{}\"", where, list_key);
  int index = 0;
  for (const Json& part : list->array())
    visit(part, list_key, fmt::format("{}[{}]", where, index++), depth + 1, count, read);
}

}  // namespace

void for_each_part(const Json& json, std::string_view list_key, const std::string& where,
                   FunctionRef<void(const Json&, const std::string&)> read) {
  if (json.is_null()) return;
  int count = 0;
  visit(json, list_key, where, 0, count, read);
}

Pattern read_pattern(const Fields& fields) {
  const Json* pattern = fields.value("pattern");
  if (pattern != nullptr && pattern->is_object()) {
    const Json* text = pattern->find("String");
    if (text != nullptr && text->is_string()) return Pattern::literal(text->string());
    const Json* expression = pattern->find("Regex");
    if (expression != nullptr && expression->is_string())
      return Pattern::regex(expression->string(), fields.source());
  }
  bad_input("{}: \"pattern\" must be a table with a text \"String\" or \"Regex\"", fields.source());
}

char32_t read_character(const Fields& fields, std::string_view key) {
  const std::string text = fields.text(key);
  if (text.empty() || character_length(text.front()) != text.size()) {
    bad_input("{}: \"{}\" must be a single character, got \"{}\"", fields.source(), key, text);
  }
  return character_at(text.data()).value;
}

}  // namespace martlet::text
