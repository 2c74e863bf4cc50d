#include "text/template_attribute.h"

#include <algorithm>
#include <array>
#include <limits>

#include "text/template_iterate.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"
#include "text/template_unicode.h"

namespace martlet::text::jinja {
namespace {

// What the immutable sandbox withholds: methods that change their list or dict.
constexpr std::array<std::string_view, 8> kListChanges = {"append", "clear", "pop",    "reverse",
                                                          "insert", "sort",  "extend", "remove"};
constexpr std::array<std::string_view, 5> kDictChanges = {"clear", "pop", "popitem", "setdefault", "update"};

bool is_change(const Value& value, std::string_view name) {
  if (value.is_list()) return std::find(kListChanges.begin(), kListChanges.end(), name) != kListChanges.end();
  if (value.is_dict()) return std::find(kDictChanges.begin(), kDictChanges.end(), name) != kDictChanges.end();
  return false;
}

// Names that every Python object answers to. A leading underscore makes an attribute unsafe, which reads as
// undefined; a dict's key of such a name is reached only where no attribute hides it.
bool is_python_special(std::string_view name) {
  constexpr std::array<std::string_view, 22> kSpecial = {
      "__class__", "__delattr__",      "__dir__", "__doc__",         "__eq__",     "__format__",
      "__ge__",    "__getattribute__", "__gt__",  "__hash__",        "__init__",   "__init_subclass__",
      "__le__",    "__lt__",           "__ne__",  "__new__",         "__reduce__", "__reduce_ex__",
      "__repr__",  "__setattr__",      "__str__", "__subclasshook__"};
  return std::find(kSpecial.begin(), kSpecial.end(), name) != kSpecial.end();
}

class BoundMethod final : public DynamicObject {
 public:
  BoundMethod(Value self, const Method& method) : self_(std::move(self)), method_(method) {}
  std::string_view type_name() const override { return "builtin_function_or_method"; }
  bool callable() const override { return true; }
  Value call(Runtime& runtime, Arguments& arguments) override {
    return method_.function(runtime, self_, arguments);
  }
  bool equals(Runtime&, DynamicObject& other) override {
    const auto* method = dynamic_cast<BoundMethod*>(&other);
    return method != nullptr && &method->method_ == &method_ && method->self_.object() == self_.object();
  }
  void print(Runtime&, std::string& out) override {
    out += fmt::format("<built-in method {} of {} object>", method_.name, jinja::type_name(self_));
  }

 private:
  Value self_;
  const Method& method_;
};

const Method* find_method(const Value& value, std::string_view name) {
  return value.is_string() ? find_string_method(name) : find_container_method(value, name);
}

Value unsafe(Runtime& runtime, const Value& value, std::string_view name) {
  return runtime.undefined(
      fmt::format("access to attribute '{}' of '{}' object is unsafe", name, type_name(value)));
}

std::optional<Value> number_attribute(const Value& value, std::string_view name) {
  if (name == "real") return value.is_float() ? value : Value::integer(value.integer());
  if (name == "imag") return value.is_float() ? Value::real(0.0) : Value::integer(0);
  if (value.is_float()) return std::nullopt;
  if (name == "numerator") return Value::integer(value.integer());
  if (name == "denominator") return Value::integer(1);
  return std::nullopt;
}

// getattr(value, name), with what the sandbox makes of it.
std::optional<Value> attribute(Runtime& runtime, const Value& value, std::string_view name) {
  if (is_change(value, name)) return unsafe(runtime, value, name);
  if (name.starts_with("_")) {
    if (is_python_special(name)) return unsafe(runtime, value, name);
    if (value.is_dynamic() && value.dynamic().attribute(runtime, name)) return unsafe(runtime, value, name);
    return std::nullopt;
  }
  if (const Method* method = find_method(value, name)) {
    return runtime.dynamic(Ref<BoundMethod>(new BoundMethod(value, *method)), value.depth());
  }
  if (value.is_number()) return number_attribute(value, name);
  if (value.is_tuple() && static_cast<const SequenceObject*>(value.object())->group()) {
    if (name == "grouper") return value.items()[0];
    if (name == "list") return value.items()[1];
  }
  if (value.is_dynamic()) return value.dynamic().attribute(runtime, name);
  return std::nullopt;
}

std::optional<Value> item(Runtime& runtime, const Value& value, const Value& key) {
  if (value.is_dict()) {
    if (key.is_list() || key.is_dict()) return std::nullopt;  // unhashable: no such item, as jinja2 takes it
    const Value* found = value.dict().find(runtime, key);
    return found == nullptr ? std::nullopt : std::optional<Value>(*found);
  }
  if (value.is_dynamic()) return value.dynamic().item(runtime, key);
  const std::optional<int64_t> length =
      value.is_string() || value.is_sequence() ? length_of(runtime, value) : std::nullopt;
  if (!length || !key.is_integral()) return std::nullopt;
  const int64_t at = key.integer() < 0 ? key.integer() + *length : key.integer();
  if (at < 0 || at >= *length) return std::nullopt;
  if (value.is_sequence()) return value.items()[static_cast<size_t>(at)];
  const std::string& text = value.text();
  if (value.string().ascii())
    return runtime.text(text.substr(static_cast<size_t>(at), 1), value.string().markup());
  runtime.handle(text.size());
  const size_t begin = code_point_offset(text, at);
  const size_t size = code_point_offset(std::string_view(text).substr(begin), 1);
  return runtime.text(text.substr(begin, size), value.string().markup());
}

Value absent(Runtime& runtime, const Value& value, std::string_view name) {
  return runtime.undefined(fmt::format("'{} object' has no attribute '{}'", type_name(value), name));
}

// One bound of a slice, clamped as Python clamps it.
int64_t slice_bound(const Value& value, int64_t length, int64_t low, int64_t high, int64_t fallback) {
  if (value.is_missing() || value.is_none()) return fallback;
  if (value.is_undefined()) use_of_undefined(value);
  if (!value.is_integral()) bad_input("slice indices must be integers or none, not {}", type_name(value));
  const int64_t at = value.integer() < 0 ? value.integer() + length : value.integer();
  return std::clamp(at, low, high);
}

Value slice_of_text(Runtime& runtime, const Value& value, const std::vector<int64_t>& positions,
                    int64_t step) {
  const std::string& text = value.text();
  const bool markup = value.string().markup();
  runtime.handle(text.size());
  if (positions.empty()) return runtime.text({}, markup);
  if (step == 1) {
    const size_t begin = code_point_offset(text, positions.front());
    const auto count = static_cast<int64_t>(positions.size());
    return runtime.text(text.substr(begin, code_point_offset(std::string_view(text).substr(begin), count)),
                        markup);
  }
  std::vector<size_t> offsets;
  for (size_t at = 0; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80) offsets.push_back(at);
  }
  offsets.push_back(text.size());
  std::string out;
  for (const int64_t position : positions) {
    const auto at = static_cast<size_t>(position);
    out += text.substr(offsets[at], offsets[at + 1] - offsets[at]);
  }
  return runtime.text(std::move(out), markup);
}

}  // namespace

Value get_attribute(Runtime& runtime, const Value& value, std::string_view name) {
  if (value.is_undefined()) use_of_undefined(value);
  if (std::optional<Value> found = attribute(runtime, value, name)) return *std::move(found);
  if (value.is_dict()) {
    if (const Value* found = value.dict().find(name)) return *found;
  }
  return absent(runtime, value, name);
}

Value get_attribute_only(Runtime& runtime, const Value& value, std::string_view name) {
  if (value.is_undefined()) use_of_undefined(value);
  if (std::optional<Value> found = attribute(runtime, value, name)) return *std::move(found);
  return absent(runtime, value, name);
}

Value get_item(Runtime& runtime, const Value& value, const Value& key) {
  if (value.is_undefined()) use_of_undefined(value);
  if (std::optional<Value> found = item(runtime, value, key)) return *std::move(found);
  if (key.is_string()) {
    if (std::optional<Value> found = attribute(runtime, value, key.text())) return *std::move(found);
    return absent(runtime, value, key.text());
  }
  return runtime.undefined(
      fmt::format("{} object has no element {}", type_name(value), repr_of(runtime, key)));
}

Value get_slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
                const Value& step_value) {
  if (value.is_undefined()) use_of_undefined(value);
  const bool range = value.is_dynamic() && value.dynamic().type_name() == "range";
  if (!value.is_string() && !value.is_sequence() && !range)
    bad_input("'{}' object cannot be sliced", type_name(value));
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  const int64_t step = slice_bound(step_value, 0, -kLargest, kLargest, 1);
  if (step == 0) bad_input("slice step cannot be zero");
  const int64_t length = *length_of(runtime, value);
  const int64_t low = step > 0 ? 0 : -1;
  const int64_t high = step > 0 ? length : length - 1;
  const int64_t first = slice_bound(start, length, low, high, step > 0 ? low : high);
  const int64_t last = slice_bound(stop, length, low, high, step > 0 ? high : low);
  if (range) {
    const int64_t from = value.as<DynamicObject>()->attribute(runtime, "start")->integer();
    const int64_t by = value.as<DynamicObject>()->attribute(runtime, "step")->integer();
    const int64_t stride = std::clamp<int64_t>(step, -length - 1, length + 1) * by;
    return make_range(runtime, from + first * by, from + last * by, stride == 0 ? 1 : stride);
  }
  runtime.handle(static_cast<size_t>(length));
  std::vector<int64_t> positions;
  // Counted down from the distance, so that a huge step cannot overflow.
  for (int64_t at = first; step > 0 ? at < last : at > last;) {
    positions.push_back(at);
    if (step > 0 ? step >= last - at : step <= last - at) break;
    at += step;
  }
  if (value.is_string()) return slice_of_text(runtime, value, positions, step);
  std::vector<Value> items;
  items.reserve(positions.size());
  for (const int64_t at : positions) items.push_back(value.items()[static_cast<size_t>(at)]);
  return value.is_list() ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
}

std::optional<Value> call_method(Runtime& runtime, const Value& value, std::string_view name,
                                 Arguments& arguments) {
  if (value.is_undefined() || name.starts_with("_") || is_change(value, name)) return std::nullopt;
  const Method* method = find_method(value, name);
  if (method == nullptr) return std::nullopt;
  return method->function(runtime, value, arguments);
}

bool is_callable(const Value& value) {
  return value.is_dynamic() && value.dynamic().callable();
}

Value call_value(Runtime& runtime, const Value& callee, Arguments& arguments) {
  if (callee.is_undefined()) use_of_undefined(callee);
  if (!is_callable(callee)) bad_input("'{}' object is not callable", type_name(callee));
  return callee.dynamic().call(runtime, arguments);
}

}  // namespace martlet::text::jinja
