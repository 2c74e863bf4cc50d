// The methods of lists, tuples, dicts and numbers that change nothing.

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <span>

#include "text/template_arguments.h"
#include "text/template_attribute.h"
#include "text/template_iterate.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"

namespace martlet::text::jinja {
namespace {

Value copy_list(Runtime& runtime, const Value& self, const Arguments& arguments) {
  bind_arguments("copy", arguments, {}, 0);
  return runtime.list(self.items());
}

Value count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value wanted = bind_arguments("count", arguments, {"value"}, 1, true)[0];
  const std::vector<Value> items = collect(runtime, self);
  return Value::integer(std::count_if(items.begin(), items.end(),
                                      [&](const Value& item) { return equal(runtime, item, wanted); }));
}

Value index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("index", arguments, {"value", "start", "stop"}, 1, true);
  const std::vector<Value> items = collect(runtime, self);
  const auto length = static_cast<int64_t>(items.size());
  const auto clamped = [&](const Value& value, int64_t fallback) {
    const int64_t at = integer_argument(value, "index", fallback);
    return std::clamp<int64_t>(at < 0 ? at + length : at, 0, length);
  };
  const int64_t stop = clamped(bound[2], length);
  for (int64_t at = clamped(bound[1], 0); at < stop; ++at) {
    if (equal(runtime, items[static_cast<size_t>(at)], bound[0])) return Value::integer(at);
  }
  bad_input("index(): {} is not in the {}", repr_of(runtime, bound[0]), type_name(self));
}

Value get(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("get", arguments, {"key", "default"}, 1, true);
  if (const Value* found = self.dict().find(runtime, bound[0])) return *found;
  return bound[1].is_missing() ? Value::none() : bound[1];
}

template <DictPart part>
Value view(Runtime& runtime, const Value& self, const Arguments& arguments) {
  bind_arguments("dict method", arguments, {}, 0);
  return make_view(runtime, self, part);
}

Value copy_dict(Runtime&, const Value& self, const Arguments& arguments) {
  bind_arguments("copy", arguments, {}, 0);
  return self;  // immutable: no copy can be told from it
}

Value from_keys(Runtime& runtime, const Value&, const Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("fromkeys", arguments, {"iterable", "value"}, 1, true);
  Ref<DictObject> dict(new DictObject);
  for (const Value& key : collect(runtime, bound[0])) {
    runtime.expect(static_cast<int64_t>(dict->entries().size()), sizeof(DictObject::Entry));
    dict->insert(runtime, key, bound[1].is_missing() ? Value::none() : bound[1]);
  }
  return runtime.dict(dict);
}

uint64_t magnitude(const Value& self) {
  return self.integer() < 0 ? 0 - static_cast<uint64_t>(self.integer())
                            : static_cast<uint64_t>(self.integer());
}

Value bit_length(Runtime&, const Value& self, const Arguments& arguments) {
  bind_arguments("bit_length", arguments, {}, 0);
  return Value::integer(std::bit_width(magnitude(self)));
}

Value bit_count(Runtime&, const Value& self, const Arguments& arguments) {
  bind_arguments("bit_count", arguments, {}, 0);
  return Value::integer(std::popcount(magnitude(self)));
}

Value conjugate(Runtime& runtime, const Value& self, const Arguments& arguments) {
  bind_arguments("conjugate", arguments, {}, 0);
  return plus(runtime, self);
}

Value is_integer(Runtime&, const Value& self, const Arguments& arguments) {
  bind_arguments("is_integer", arguments, {}, 0);
  return Value::boolean(std::isfinite(self.real()) && self.real() == std::floor(self.real()));
}

constexpr std::array kListMethods =
    std::to_array<Method>({{"copy", copy_list}, {"count", count}, {"index", index}});
constexpr std::array kTupleMethods = std::to_array<Method>({{"count", count}, {"index", index}});
constexpr std::array kDictMethods = std::to_array<Method>({{"copy", copy_dict},
                                                           {"fromkeys", from_keys},
                                                           {"get", get},
                                                           {"items", view<DictPart::kItems>},
                                                           {"keys", view<DictPart::kKeys>},
                                                           {"values", view<DictPart::kValues>}});
constexpr std::array kIntegerMethods =
    std::to_array<Method>({{"bit_count", bit_count}, {"bit_length", bit_length}, {"conjugate", conjugate}});
constexpr std::array kFloatMethods =
    std::to_array<Method>({{"conjugate", conjugate}, {"is_integer", is_integer}});

std::span<const Method> methods_of(const Value& value) {
  switch (value.kind()) {
    case ValueKind::kList:
      return kListMethods;
    case ValueKind::kTuple:
      return kTupleMethods;
    case ValueKind::kDict:
      return kDictMethods;
    case ValueKind::kBoolean:
    case ValueKind::kInteger:
      return kIntegerMethods;
    case ValueKind::kFloat:
      return kFloatMethods;
    case ValueKind::kDynamic:
      if (value.dynamic().type_name() == "range") return kTupleMethods;
      return {};
    default:
      return {};
  }
}

}  // namespace

const Method* find_container_method(const Value& value, std::string_view name) {
  const std::span<const Method> methods = methods_of(value);
  const auto at =
      std::find_if(methods.begin(), methods.end(), [&](const Method& method) { return method.name == name; });
  return at == methods.end() ? nullptr : &*at;
}

}  // namespace martlet::text::jinja
