#pragma once

// `x.name`, `x[key]`, `x[a:b:c]` and methods, as jinja2's immutable sandbox allows them: attributes that
// would change a list or a dict, and names with a leading underscore, are undefined.

#include <optional>
#include <string_view>

#include "text/template_value.h"

namespace martlet::text::jinja {

/// x.name: the attribute, else the item; undefined when there is neither. Throws for an undefined x.
Value get_attribute(Runtime& runtime, const Value& value, std::string_view name);
/// x[key]: the item, else (for text) the attribute; undefined when there is neither.
Value get_item(Runtime& runtime, const Value& value, const Value& key);
/// The attribute alone, as the filter `attr` has it.
Value get_attribute_only(Runtime& runtime, const Value& value, std::string_view name);
/// x[start:stop:step]; missing parts are Missing.
Value get_slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
                const Value& step);

/// x.name(arguments) without making the bound method first; nothing when `name` is no method of the value's
/// type.
std::optional<Value> call_method(Runtime& runtime, const Value& value, std::string_view name,
                                 Arguments& arguments);
/// Calls any value; throws when it cannot be called.
Value call_value(Runtime& runtime, const Value& callee, Arguments& arguments);
bool is_callable(const Value& value);

/// A method: its receiver, the arguments, the result.
using MethodFunction = Value (*)(Runtime& runtime, const Value& self, const Arguments& arguments);
struct Method {
  std::string_view name;
  MethodFunction function;
};
/// Null when there is none.
const Method* find_string_method(std::string_view name);
const Method* find_container_method(const Value& value, std::string_view name);

}  // namespace martlet::text::jinja
