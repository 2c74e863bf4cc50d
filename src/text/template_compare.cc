// Truth, equality, order, hashing and membership, as Python's data model has them.

#include <algorithm>
#include <cmath>
#include <compare>
#include <cstring>
#include <numeric>

#include "text/template_iterate.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"
#include "text/template_text.h"

namespace martlet::text::jinja {
namespace {

// An int against a float without rounding the int.
std::partial_ordering compare_numbers(int64_t a, double b) {
  if (std::isnan(b)) return std::partial_ordering::unordered;
  constexpr double kTwoTo63 = 9223372036854775808.0;
  if (b >= kTwoTo63) return std::partial_ordering::less;
  if (b < -kTwoTo63) return std::partial_ordering::greater;
  const double whole = std::trunc(b);
  const auto integral = static_cast<int64_t>(whole);
  if (a != integral) return a < integral ? std::partial_ordering::less : std::partial_ordering::greater;
  return 0.0 <=> b - whole;
}

std::partial_ordering compare_numbers(const Value& a, const Value& b) {
  if (a.is_float() && b.is_float()) return a.real() <=> b.real();
  if (a.is_float()) return 0 <=> compare_numbers(b.integer(), a.real());
  if (b.is_float()) return compare_numbers(a.integer(), b.real());
  return a.integer() <=> b.integer();
}

bool holds(Operator operation, std::partial_ordering order) {
  switch (operation) {
    case Operator::kLess:
      return order < 0;
    case Operator::kLessEqual:
      return order <= 0;
    case Operator::kGreater:
      return order > 0;
    default:
      return order >= 0;
  }
}

std::string_view sign_of(Operator operation) {
  switch (operation) {
    case Operator::kLess:
      return "<";
    case Operator::kLessEqual:
      return "<=";
    case Operator::kGreater:
      return ">";
    default:
      return ">=";
  }
}

uint64_t mixed(uint64_t x) {  // the finisher of splitmix64
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9U;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

bool equal_dicts(Runtime& runtime, const DictObject& a, const DictObject& b) {
  if (a.entries().size() != b.entries().size()) return false;
  for (const auto& [key, value] : a.entries()) {
    const Value* other = b.find(runtime, key);
    if (other == nullptr || !equal(runtime, value, *other)) return false;
  }
  return true;
}

}  // namespace

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case ValueKind::kMissing:
    case ValueKind::kUndefined:
      return "Undefined";
    case ValueKind::kNone:
      return "NoneType";
    case ValueKind::kBoolean:
      return "bool";
    case ValueKind::kInteger:
      return "int";
    case ValueKind::kFloat:
      return "float";
    case ValueKind::kString:
      return "str";
    case ValueKind::kList:
      return "list";
    case ValueKind::kTuple:
      return "tuple";
    case ValueKind::kDict:
      return "dict";
    case ValueKind::kDynamic:
      return value.dynamic().type_name();
  }
  return "object";
}

void use_of_undefined(const Value& value) {
  if (value.object() == nullptr) bad_input("a value is undefined");
  bad_input("{}", value.text());
}

bool truthy(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case ValueKind::kMissing:
    case ValueKind::kUndefined:
    case ValueKind::kNone:
      return false;
    case ValueKind::kBoolean:
    case ValueKind::kInteger:
      return value.integer() != 0;
    case ValueKind::kFloat:
      return value.real() != 0.0;
    case ValueKind::kString:
      return !value.text().empty();
    case ValueKind::kList:
    case ValueKind::kTuple:
      return !value.items().empty();
    case ValueKind::kDict:
      return !value.dict().entries().empty();
    case ValueKind::kDynamic:
      return value.dynamic().truth(runtime);
  }
  return false;
}

bool equal(Runtime& runtime, const Value& a, const Value& b) {
  runtime.step();
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case ValueKind::kString:
      runtime.handle(std::min(a.text().size(), b.text().size()));
      return a.text() == b.text();
    case ValueKind::kList:
    case ValueKind::kTuple:
      return std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(),
                        [&](const Value& x, const Value& y) { return equal(runtime, x, y); });
    case ValueKind::kDict:
      return equal_dicts(runtime, a.dict(), b.dict());
    case ValueKind::kDynamic:
      return a.dynamic().equals(runtime, b.dynamic());
    default:
      return true;  // None with None, undefined with undefined
  }
}

bool ordered(Runtime& runtime, Operator operation, const Value& a, const Value& b) {
  runtime.step();
  if (a.is_number() && b.is_number()) return holds(operation, compare_numbers(a, b));
  if (a.is_string() && b.is_string()) {
    // UTF-8 orders as its code points do.
    runtime.handle(std::min(a.text().size(), b.text().size()));
    return holds(operation, a.text() <=> b.text());
  }
  if (a.is_sequence() && a.kind() == b.kind()) {
    const std::vector<Value>& x = a.items();
    const std::vector<Value>& y = b.items();
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!equal(runtime, x[i], y[i])) return ordered(runtime, operation, x[i], y[i]);
    }
    return holds(operation, x.size() <=> y.size());
  }
  if (a.is_undefined()) use_of_undefined(a);
  if (b.is_undefined()) use_of_undefined(b);
  bad_input("'{}' not supported between '{}' and '{}'", sign_of(operation), type_name(a), type_name(b));
}

uint64_t hash_of(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case ValueKind::kString:
      runtime.handle(value.text().size());
      return std::hash<std::string_view>{}(value.text());
    case ValueKind::kBoolean:
    case ValueKind::kInteger:
      return mixed(static_cast<uint64_t>(value.integer()));
    case ValueKind::kFloat: {
      const double real = value.real();
      if (real >= -9e18 && real <= 9e18 && real == std::trunc(real))
        return mixed(static_cast<uint64_t>(static_cast<int64_t>(real)));
      uint64_t bits = 0;
      std::memcpy(&bits, &real, sizeof bits);
      return mixed(bits);
    }
    case ValueKind::kTuple: {
      uint64_t hash = 0x9E3779B97F4A7C15U;
      for (const Value& item : value.items()) hash = mixed(hash + hash_of(runtime, item));
      return hash;
    }
    case ValueKind::kList:
    case ValueKind::kDict:
      bad_input("unhashable type: '{}'", type_name(value));
    case ValueKind::kDynamic:
      return mixed(reinterpret_cast<uintptr_t>(value.object()));
    default:
      return static_cast<uint64_t>(value.kind());
  }
}

bool contains(Runtime& runtime, const Value& container, const Value& value) {
  switch (container.kind()) {
    case ValueKind::kString:
      if (!value.is_string())
        bad_input("'in <string>' requires string as left operand, not {}", type_name(value));
      runtime.handle(container.text().size());
      return find_text(container.text(), value.text()) != std::string::npos;
    case ValueKind::kDict:
      return container.dict().find(runtime, value) != nullptr;
    default: {
      const std::unique_ptr<Iterator> items = try_iterate(runtime, container);
      if (items == nullptr) bad_input("argument of type '{}' is not iterable", type_name(container));
      Value item;
      while (items->next(runtime, item)) {
        if (equal(runtime, item, value)) return true;
      }
      return false;
    }
  }
}

bool compare(Runtime& runtime, Operator operation, const Value& a, const Value& b) {
  switch (operation) {
    case Operator::kEqual:
      return equal(runtime, a, b);
    case Operator::kNotEqual:
      return !equal(runtime, a, b);
    case Operator::kIn:
      return contains(runtime, b, a);
    case Operator::kNotIn:
      return !contains(runtime, b, a);
    default:
      return ordered(runtime, operation, a, b);
  }
}

std::optional<int64_t> length_of(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case ValueKind::kUndefined:
      return 0;
    case ValueKind::kString:
      return value.string().length();
    case ValueKind::kList:
    case ValueKind::kTuple:
      return static_cast<int64_t>(value.items().size());
    case ValueKind::kDict:
      return static_cast<int64_t>(value.dict().entries().size());
    case ValueKind::kDynamic:
      return value.dynamic().length(runtime);
    default:
      return std::nullopt;
  }
}

std::vector<size_t> sorted_order(Runtime& runtime, const std::vector<Value>& keys, bool reverse) {
  std::vector<size_t> order(keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // Python keeps equal elements in their order when sorting downwards too.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return reverse ? ordered(runtime, Operator::kLess, keys[b], keys[a])
                   : ordered(runtime, Operator::kLess, keys[a], keys[b]);
  });
  return order;
}

}  // namespace martlet::text::jinja
