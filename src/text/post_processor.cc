#include "text/post_processor.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/fields.h"
#include "text/json_parts.h"

namespace martlet::text {

namespace {

using Part = PostProcessor::Part;

int32_t read_id(const Json& json, const std::string& where, int64_t vocabulary_size) {
  if (!json.is_integer() || json.integer() < 0 || json.integer() >= vocabulary_size) {
    bad_input("{}: expected a token id below {}, got {}", where, vocabulary_size,
              json.is_integer() ? fmt::format("{}", json.integer()) : std::string(json.kind_name()));
  }
  return static_cast<int32_t>(json.integer());
}

/// ["[CLS]", 101]
Part read_pair(const Fields& fields, std::string_view key, int64_t vocabulary_size) {
  const Json* pair = fields.value(key);
  const std::string where = fmt::format("{} \"{}\"", fields.source(), key);
  if (pair == nullptr || !pair->is_array() || pair->array().size() != 2)
    bad_input("{}: expected a token and its id", where);
  return {false, {read_id(pair->array()[1], where, vocabulary_size)}};
}

std::vector<int32_t> read_special(const Json* table, const std::string& name, const std::string& where,
                                  int64_t vocabulary_size) {
  const Json* entry = table == nullptr ? nullptr : table->find(name);
  if (entry == nullptr)
    bad_input("{}: the template names \"{}\", which \"special_tokens\" does not define", where, name);
  const Json* ids = entry->find("ids");
  if (ids == nullptr || !ids->is_array())
    bad_input("{}: the special token \"{}\" has no list \"ids\"", where, name);
  std::vector<int32_t> out;
  for (const Json& id : ids->array())
    out.push_back(read_id(id, fmt::format("{} special token \"{}\"", where, name), vocabulary_size));
  return out;
}

std::vector<Part> read_template(const Fields& fields, std::string_view key, int64_t vocabulary_size,
                                bool pair) {
  const Json* list = fields.value(key);
  const std::string where = fmt::format("{} \"{}\"", fields.source(), key);
  if (list == nullptr || !list->is_array()) bad_input("{}: expected a list of parts", where);
  std::vector<Part> parts;
  for (const Json& part : list->array()) {
    const Json* sequence = part.find("Sequence");
    const Json* special = part.find("SpecialToken");
    const Json* id = sequence != nullptr  ? sequence->find("id")
                     : special != nullptr ? special->find("id")
                                          : nullptr;
    if (id == nullptr || !id->is_string())
      bad_input("{}: every part must be a \"Sequence\" or a \"SpecialToken\" with an \"id\"", where);
    if (special != nullptr) {
      parts.push_back(
          {false, read_special(fields.value("special_tokens"), id->string(), where, vocabulary_size)});
    } else if (id->string() == "A" || (pair && id->string() == "B")) {
      parts.push_back({true, {}});
    } else {
      bad_input("{}: there is no sequence \"{}\" here", where, id->string());
    }
  }
  return parts;
}

}  // namespace

PostProcessor read_post_processor(const Json& json, const std::string& where, int64_t vocabulary_size) {
  PostProcessor result;
  bool has_template = false;
  const auto set_parts = [&](std::vector<Part> parts, const std::string& place) {
    if (has_template) bad_input("{}: only one part of a sequence can add special tokens", place);
    has_template = true;
    result.parts_ = std::move(parts);
  };
  for_each_part(json, "processors", where, [&](const Json& part, const std::string& place) {
    const Fields fields(part, place);
    const std::string type = fields.text("type");
    if (type == "TemplateProcessing") {
      if (fields.has("pair")) read_template(fields, "pair", vocabulary_size, true);
      set_parts(read_template(fields, "single", vocabulary_size, false), place);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      set_parts(
          {read_pair(fields, "cls", vocabulary_size), {true, {}}, read_pair(fields, "sep", vocabulary_size)},
          place);
    } else if (type != "ByteLevel") {
      bad_input(
          "{}: the post-processor \"{}\" is not known; known are TemplateProcessing, BertProcessing, "
          "RobertaProcessing, "
          "ByteLevel and Sequence",
          place, type);
    }
    if (type == "ByteLevel" || type == "RobertaProcessing") {
      if (fields.boolean("trim_offsets", true)) {
        result.trims_ = true;
        result.added_prefix_space_ = fields.boolean("add_prefix_space", true);
      }
    }
  });
  return result;
}

}  // namespace martlet::text
