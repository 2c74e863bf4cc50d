#pragma once

// What Python's operators and builtins do with values: truth, equality, order, arithmetic, printing.
// Each throws BadInput where Python raises.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/markup.h"
#include "text/template_value.h"

namespace martlet::text::jinja {

enum class Operator : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn
};

/// Python's name of the type: "str", "NoneType", "dict", ...
std::string_view type_name(const Value& value);

bool truthy(Runtime& runtime, const Value& value);
bool equal(Runtime& runtime, const Value& a, const Value& b);
/// a < b, a <= b, a > b or a >= b.
bool ordered(Runtime& runtime, Operator operation, const Value& a, const Value& b);
/// Throws for lists and dicts, which Python cannot hash.
uint64_t hash_of(Runtime& runtime, const Value& value);
bool compare(Runtime& runtime, Operator operation, const Value& a, const Value& b);
bool contains(Runtime& runtime, const Value& container, const Value& value);
/// len(); nothing when the value has none.
std::optional<int64_t> length_of(Runtime& runtime, const Value& value);

Value arithmetic(Runtime& runtime, Operator operation, const Value& a, const Value& b);
Value negate(Runtime& runtime, const Value& value);
/// The unary plus, which makes an int of a bool.
Value plus(Runtime& runtime, const Value& value);

/// Throws what using an undefined value raises: "'x' is undefined".
[[noreturn]] void use_of_undefined(const Value& value);

/// Appends str(value) and repr(value).
void print_text(Runtime& runtime, const Value& value, std::string& out);
void print_repr(Runtime& runtime, const Value& value, std::string& out);
std::string text_of(Runtime& runtime, const Value& value);
std::string repr_of(Runtime& runtime, const Value& value);
/// repr of a float: the shortest digits that read back the same.
std::string float_text(double value);
/// repr of text, in Python's choice of quotes.
void append_quoted(std::string_view text, std::string& out);

/// The keys by which `sort` orders, stably; throws where two cannot be compared. Returns the order of
/// positions.
std::vector<size_t> sorted_order(Runtime& runtime, const std::vector<Value>& keys, bool reverse);

/// json.dumps as Hugging Face's `tojson` calls it.
struct JsonStyle {
  bool ascii = false;
  bool sort_keys = false;
  bool indented = false;
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
void print_json(Runtime& runtime, const Value& value, const JsonStyle& style, std::string& out);

/// `format % values`, and `format.format(...)`.
Value printf_format(Runtime& runtime, const Value& format, const Value& values);
Value brace_format(Runtime& runtime, const Value& format, const Arguments& arguments);

}  // namespace martlet::text::jinja
