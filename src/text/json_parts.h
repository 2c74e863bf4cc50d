#pragma once

// What every kind of part in a tokenizer.json shares: sequences of parts, and patterns.

#include <string>
#include <string_view>

#include "base/fields.h"
#include "base/function_ref.h"
#include "base/json.h"
#include "text/regex.h"

namespace martlet::text {

/// Calls `read` for every part that is no Sequence, in order; nothing for null. `list_key` is how a Sequence
/// names its list. Depth and number are bounded: a Sequence may hold a Sequence, but not thousands of them.
void for_each_part(const Json& json, std::string_view list_key, const std::string& where,
                   FunctionRef<void(const Json& part, const std::string& where)> read);

/// The `pattern` of a part: {"String": "..."} or {"Regex": "..."}.
Pattern read_pattern(const Fields& fields);

/// The single character under `key`.
char32_t read_character(const Fields& fields, std::string_view key);

}  // namespace martlet::text
