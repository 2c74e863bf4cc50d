#pragma once

// Reading the arguments of builtin methods, filters and functions.

#include <cstdint>
#include <string>
#include <string_view>

#include "text/template_value.h"

namespace martlet::text::jinja {

/// The integer an argument must be; `fallback` when it is Missing.
int64_t integer_argument(const Value& value, std::string_view callee);
int64_t integer_argument(const Value& value, std::string_view callee, int64_t fallback);
/// The text an argument must be.
const std::string& text_argument(const Value& value, std::string_view callee);
bool flag_argument(Runtime& runtime, const Value& value, bool fallback);
/// Not given, or None.
bool absent_argument(const Value& value);

}  // namespace martlet::text::jinja
