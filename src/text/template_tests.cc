// What may follow `is`.

#include <algorithm>
#include <array>

#include "text/template_attribute.h"
#include "text/template_filters.h"
#include "text/template_iterate.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"
#include "text/template_unicode.h"

namespace martlet::text::jinja {
namespace {

template <bool (*holds)(const Value&)>
Value plain(Runtime&, const Value& value, Arguments& arguments) {
  bind_arguments("test", arguments, {}, 0);
  return Value::boolean(holds(value));
}

template <Operator operation>
Value compared(Runtime& runtime, const Value& value, Arguments& arguments) {
  const Value other = bind_arguments("test", arguments, {"other"}, 1, true)[0];
  return Value::boolean(compare(runtime, operation, value, other));
}

bool remainder_is(Runtime& runtime, const Value& value, const Value& divisor, int64_t expected) {
  return equal(runtime, arithmetic(runtime, Operator::kModulo, value, divisor), Value::integer(expected));
}

Value odd(Runtime& runtime, const Value& value, Arguments& arguments) {
  bind_arguments("odd", arguments, {}, 0);
  return Value::boolean(remainder_is(runtime, value, Value::integer(2), 1));
}

Value even(Runtime& runtime, const Value& value, Arguments& arguments) {
  bind_arguments("even", arguments, {}, 0);
  return Value::boolean(remainder_is(runtime, value, Value::integer(2), 0));
}

Value divisible_by(Runtime& runtime, const Value& value, Arguments& arguments) {
  return Value::boolean(
      remainder_is(runtime, value, bind_arguments("divisibleby", arguments, {"num"}, 1)[0], 0));
}

Value lower(Runtime& runtime, const Value& value, Arguments& arguments) {
  bind_arguments("lower", arguments, {}, 0);
  return Value::boolean(is_lower_text(text_of(runtime, value)));
}

Value upper(Runtime& runtime, const Value& value, Arguments& arguments) {
  bind_arguments("upper", arguments, {}, 0);
  return Value::boolean(is_upper_text(text_of(runtime, value)));
}

Value in(Runtime& runtime, const Value& value, Arguments& arguments) {
  return Value::boolean(contains(runtime, bind_arguments("in", arguments, {"seq"}, 1)[0], value));
}

// Python's `is`: the same object. Scalars of one kind and value count as the same, as CPython mostly has
// them.
Value same_as(Runtime& runtime, const Value& value, Arguments& arguments) {
  const Value other = bind_arguments("sameas", arguments, {"other"}, 1)[0];
  if (value.kind() != other.kind()) return Value::boolean(false);
  const bool scalar = value.object() == nullptr || value.is_string();
  return Value::boolean(scalar ? equal(runtime, value, other) : value.object() == other.object());
}

Value iterable(Runtime& runtime, const Value& value, Arguments& arguments) {
  bind_arguments("iterable", arguments, {}, 0);
  return Value::boolean(try_iterate(runtime, value) != nullptr);
}

Value sequence(Runtime&, const Value& value, Arguments& arguments) {
  bind_arguments("sequence", arguments, {}, 0);
  const bool range = value.is_dynamic() && value.dynamic().type_name() == "range";
  return Value::boolean(value.is_string() || value.is_sequence() || value.is_dict() || value.is_undefined() ||
                        range);
}

Value is_filter_name(Runtime& runtime, const Value& value, Arguments& arguments) {
  bind_arguments("filter", arguments, {}, 0);
  hash_of(runtime, value);  // a list can be no name, which Python finds by hashing it
  return Value::boolean(value.is_string() && find_filter(value.text()) != nullptr);
}

Value is_test_name(Runtime& runtime, const Value& value, Arguments& arguments) {
  bind_arguments("test", arguments, {}, 0);
  hash_of(runtime, value);  // a list can be no name, which Python finds by hashing it
  return Value::boolean(value.is_string() && find_test(value.text()) != nullptr);
}

constexpr std::array kTests = std::to_array<NamedFunction>({
    {"odd", odd},
    {"even", even},
    {"divisibleby", divisible_by},
    {"defined", plain<[](const Value& v) { return !v.is_undefined(); }>},
    {"undefined", plain<[](const Value& v) { return v.is_undefined(); }>},
    {"filter", is_filter_name},
    {"test", is_test_name},
    {"none", plain<[](const Value& v) { return v.is_none(); }>},
    {"boolean", plain<[](const Value& v) { return v.is_boolean(); }>},
    {"false", plain<[](const Value& v) { return v.is_boolean() && !v.boolean(); }>},
    {"true", plain<[](const Value& v) { return v.is_boolean() && v.boolean(); }>},
    {"integer", plain<[](const Value& v) { return v.is_integral() && !v.is_boolean(); }>},
    {"float", plain<[](const Value& v) { return v.is_float(); }>},
    {"lower", lower},
    {"upper", upper},
    {"string", plain<[](const Value& v) { return v.is_string(); }>},
    {"mapping", plain<[](const Value& v) { return v.is_dict(); }>},
    {"number", plain<[](const Value& v) { return v.is_number(); }>},
    {"sequence", sequence},
    {"iterable", iterable},
    {"callable", plain<[](const Value& v) { return is_callable(v) || v.is_undefined(); }>},
    {"sameas", same_as},
    {"escaped", plain<[](const Value& v) { return v.is_string() && v.string().markup(); }>},
    {"in", in},
    {"==", compared<Operator::kEqual>},
    {"eq", compared<Operator::kEqual>},
    {"equalto", compared<Operator::kEqual>},
    {"!=", compared<Operator::kNotEqual>},
    {"ne", compared<Operator::kNotEqual>},
    {">", compared<Operator::kGreater>},
    {"gt", compared<Operator::kGreater>},
    {"greaterthan", compared<Operator::kGreater>},
    {"ge", compared<Operator::kGreaterEqual>},
    {">=", compared<Operator::kGreaterEqual>},
    {"<", compared<Operator::kLess>},
    {"lt", compared<Operator::kLess>},
    {"lessthan", compared<Operator::kLess>},
    {"<=", compared<Operator::kLessEqual>},
    {"le", compared<Operator::kLessEqual>},
});

}  // namespace

SubjectFunction find_test(std::string_view name) {
  const auto at = std::find_if(kTests.begin(), kTests.end(),
                               [&](const NamedFunction& test) { return test.name == name; });
  return at == kTests.end() ? nullptr : at->function;
}

}  // namespace martlet::text::jinja
