#pragma once

// What a source yields: one document, in one of three forms.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace martlet::data {

struct Document {
  enum class Form { kText, kIds, kMessages };

  Form form = Form::kText;
  std::string text;          ///< kText: valid UTF-8
  std::vector<int32_t> ids;  ///< kIds: as the row gives them, not yet compared with a vocabulary
  Json messages;             ///< kMessages: a list of {role, content, ...}
  Json tools;                ///< kMessages: what tools the conversation may use; null without
  std::string where;         ///< for errors: "corpus.jsonl:7"
};

/// The document of one row of JSON:
/// - `text`: text;
/// - `ids`: a list of token ids;
/// - `messages` (and `tools`): a conversation, every message with a known `role` and a `content`;
/// - `prompt` and `response`, or `prompt` and `chosen` (a preference): a conversation of one turn;
/// - `question`, `choices` and `answer` (a number from 0): the same, with lettered choices, answered by the
/// letter. Other members are passed over. Throws BadInput with `where` for anything else.
Document document_of(const Json& row, std::string where);

/// Calls for text as statistics and duplicates see it: the text, the ids or the messages as JSON.
std::string content_of(const Document& document);

}  // namespace martlet::data
