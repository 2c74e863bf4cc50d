#pragma once

// The filters and tests of jinja2, by name.

#include <string_view>

#include "text/template_syntax.h"

namespace martlet::text::jinja {

struct NamedFunction {
  std::string_view name;
  SubjectFunction function;
};

/// Null when there is none of that name.
SubjectFunction find_filter(std::string_view name);
SubjectFunction find_test(std::string_view name);

/// As `map('name', ...)` and `select('name', ...)` call them; throws where there is none of that name.
Value apply_filter(Runtime& runtime, std::string_view name, const Value& subject, Arguments& arguments);
bool apply_test(Runtime& runtime, std::string_view name, const Value& subject, Arguments& arguments);

}  // namespace martlet::text::jinja
