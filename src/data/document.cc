#include "data/document.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/error.h"

namespace martlet::data {
namespace {

constexpr std::array<std::string_view, 5> kRoles{"system", "developer", "user", "assistant", "tool"};

const std::string& text_member(const Json& row, std::string_view key, const std::string& where) {
  const Json* value = row.find(key);
  if (value == nullptr) bad_input("{}: '{}' is missing", where, key);
  if (!value->is_string()) bad_input("{}: '{}' must be text, not {}", where, key, value->kind_name());
  return value->string();
}

std::vector<int32_t> ids_of_row(const Json& list, const std::string& where) {
  if (!list.is_array()) bad_input("{}: 'ids' must be a list of integers, not {}", where, list.kind_name());
  std::vector<int32_t> ids;
  ids.reserve(list.array().size());
  for (const Json& id : list.array()) {
    if (!id.is_integer()) bad_input("{}: 'ids' must hold integers, not {}", where, id.kind_name());
    if (id.integer() < 0 || id.integer() > std::numeric_limits<int32_t>::max())
      bad_input("{}: {} is not a token id", where, id.integer());
    ids.push_back(static_cast<int32_t>(id.integer()));
  }
  return ids;
}

void check_messages(const Json& messages, const std::string& where) {
  if (!messages.is_array()) bad_input("{}: 'messages' must be a list, not {}", where, messages.kind_name());
  if (messages.array().empty()) bad_input("{}: 'messages' is empty", where);
  for (const Json& message : messages.array()) {
    if (!message.is_object()) bad_input("{}: a message must be a table, not {}", where, message.kind_name());
    const Json* role = message.find("role");
    if (role == nullptr || !role->is_string()) bad_input("{}: a message has no 'role'", where);
    if (std::find(kRoles.begin(), kRoles.end(), role->string()) == kRoles.end())
      bad_input("{}: a role is system, developer, user, assistant or tool, not '{}'", where, role->string());
    if (message.find("content") == nullptr && message.find("tool_calls") == nullptr)
      bad_input("{}: a message of the {} has no 'content'", where, role->string());
  }
}

Json one_turn(const std::string& user, const std::string& assistant) {
  return Json::Array{Json::Object{{"role", "user"}, {"content", user}},
                     Json::Object{{"role", "assistant"}, {"content", assistant}}};
}

Json choice_messages(const Json& row, const std::string& where) {
  std::string text = text_member(row, "question", where);
  const Json* choices = row.find("choices");
  if (choices == nullptr || !choices->is_array()) bad_input("{}: 'choices' must be a list", where);
  const size_t count = choices->array().size();
  if (count < 2 || count > 26) bad_input("{}: 'choices' must be 2 to 26, not {}", where, count);
  char letter = 'A';
  for (const Json& choice : choices->array()) {
    if (!choice.is_string()) bad_input("{}: 'choices' must hold text, not {}", where, choice.kind_name());
    text += fmt::format("\n{}. {}", letter++, choice.string());
  }
  const Json* answer = row.find("answer");
  if (answer == nullptr || !answer->is_integer() || answer->integer() < 0 ||
      answer->integer() >= static_cast<int64_t>(count))
    bad_input("{}: 'answer' must be the number of a choice, from 0 to {}", where, count - 1);
  return one_turn(text, std::string(1, static_cast<char>('A' + answer->integer())));
}

}  // namespace

Document document_of(const Json& row, std::string where) {
  if (!row.is_object()) bad_input("{}: a row must be a table, not {}", where, row.kind_name());
  Document document;
  document.where = std::move(where);
  if (const Json* ids = row.find("ids")) {
    document.form = Document::Form::kIds;
    document.ids = ids_of_row(*ids, document.where);
    return document;
  }
  if (row.find("text") != nullptr) {
    document.text = text_member(row, "text", document.where);
    return document;
  }
  document.form = Document::Form::kMessages;
  if (const Json* messages = row.find("messages")) {
    check_messages(*messages, document.where);
    document.messages = *messages;
    if (const Json* tools = row.find("tools")) document.tools = *tools;
  } else if (row.find("prompt") != nullptr) {
    const std::string_view reply =
        row.find("response") == nullptr && row.find("chosen") ? "chosen" : "response";
    document.messages =
        one_turn(text_member(row, "prompt", document.where), text_member(row, reply, document.where));
  } else if (row.find("question") != nullptr) {
    document.messages = choice_messages(row, document.where);
  } else {
    bad_input("{}: a row needs text, ids, messages, prompt and response, or question, choices and answer",
              document.where);
  }
  return document;
}

std::string content_of(const Document& document) {
  switch (document.form) {
    case Document::Form::kText:
      return document.text;
    case Document::Form::kMessages: {
      Json both{Json::Array{document.messages, document.tools}};
      return both.dump();
    }
    case Document::Form::kIds:
      break;
  }
  std::string text;
  for (const int32_t id : document.ids) text += fmt::format("{} ", id);
  return text;
}

}  // namespace martlet::data
