#include "text/template_arguments.h"

#include "text/template_operations.h"
#include "text/template_runtime.h"

namespace martlet::text::jinja {

int64_t integer_argument(const Value& value, std::string_view callee) {
  if (value.is_undefined()) use_of_undefined(value);
  if (!value.is_integral()) bad_input("{}() wants an integer, not {}", callee, type_name(value));
  return value.integer();
}

int64_t integer_argument(const Value& value, std::string_view callee, int64_t fallback) {
  return value.is_missing() ? fallback : integer_argument(value, callee);
}

const std::string& text_argument(const Value& value, std::string_view callee) {
  if (value.is_undefined()) use_of_undefined(value);
  if (!value.is_string()) bad_input("{}() wants text, not {}", callee, type_name(value));
  return value.text();
}

bool flag_argument(Runtime& runtime, const Value& value, bool fallback) {
  return value.is_missing() ? fallback : truthy(runtime, value);
}

bool absent_argument(const Value& value) {
  return value.is_missing() || value.is_none();
}

}  // namespace martlet::text::jinja
