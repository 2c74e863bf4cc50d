// Python's arithmetic: floor division and modulo towards minus infinity, exact integers (refused past 64
// bits),
// + and * of text and lists.

#include <cmath>
#include <limits>

#include "text/template_operations.h"
#include "text/template_runtime.h"

namespace martlet::text::jinja {
namespace {

constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();

std::string_view sign_of(Operator operation) {
  switch (operation) {
    case Operator::kAdd:
      return "+";
    case Operator::kSubtract:
      return "-";
    case Operator::kMultiply:
      return "*";
    case Operator::kDivide:
      return "/";
    case Operator::kFloorDivide:
      return "//";
    case Operator::kModulo:
      return "%";
    default:
      return "**";
  }
}

[[noreturn]] void too_large() {
  bad_input("an integer does not fit 64 bits");
}

int64_t integer_power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (true) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) too_large();
    exponent >>= 1;
    if (exponent == 0) return result;
    if (__builtin_mul_overflow(base, base, &base)) too_large();
  }
}

// Towards minus infinity; b is not 0.
int64_t floor_quotient(int64_t a, int64_t b) {
  if (a == kLowest && b == -1) too_large();
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t floor_remainder(int64_t a, int64_t b) {
  if (b == -1) return 0;
  const int64_t remainder = a % b;
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

// The pair of divmod as CPython computes it, so that x == quotient * y + remainder as nearly as floats allow.
std::pair<double, double> float_divmod(double a, double b) {
  double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder != 0.0) {
    if ((b < 0) != (remainder < 0)) {
      remainder += b;
      quotient -= 1.0;
    }
  } else {
    remainder = std::copysign(0.0, b);
  }
  if (quotient == 0.0) return {std::copysign(0.0, a / b), remainder};
  double whole = std::floor(quotient);
  if (quotient - whole > 0.5) whole += 1.0;
  return {whole, remainder};
}

Value float_power(double base, double exponent) {
  if (base == 0.0 && exponent < 0.0) bad_input("0.0 cannot be raised to a negative power");
  if (base < 0.0 && std::isfinite(exponent) && exponent != std::floor(exponent)) {
    bad_input("a negative number to a fractional power is complex, which templates do not have here");
  }
  const double result = std::pow(base, exponent);
  if (std::isinf(result) && std::isfinite(base) && std::isfinite(exponent))
    bad_input("float result too large");
  return Value::real(result);
}

Value integer_arithmetic(Operator operation, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (operation) {
    case Operator::kAdd:
      if (__builtin_add_overflow(a, b, &result)) too_large();
      return Value::integer(result);
    case Operator::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) too_large();
      return Value::integer(result);
    case Operator::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) too_large();
      return Value::integer(result);
    case Operator::kPower:
      if (b >= 0) return Value::integer(integer_power(a, b));
      return float_power(static_cast<double>(a), static_cast<double>(b));
    default:
      break;
  }
  if (b == 0) bad_input("division by zero");
  if (operation == Operator::kFloorDivide) return Value::integer(floor_quotient(a, b));
  if (operation == Operator::kModulo) return Value::integer(floor_remainder(a, b));
  // 64 bits of mantissa hold both integers exactly.
  return Value::real(static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
}

Value float_arithmetic(Operator operation, double a, double b) {
  switch (operation) {
    case Operator::kAdd:
      return Value::real(a + b);
    case Operator::kSubtract:
      return Value::real(a - b);
    case Operator::kMultiply:
      return Value::real(a * b);
    case Operator::kPower:
      return float_power(a, b);
    default:
      break;
  }
  if (b == 0.0) bad_input("division by zero");
  if (operation == Operator::kDivide) return Value::real(a / b);
  const auto [quotient, remainder] = float_divmod(a, b);
  return Value::real(operation == Operator::kFloorDivide ? quotient : remainder);
}

Value joined_text(Runtime& runtime, const Value& a, const Value& b) {
  const bool markup = a.string().markup() || b.string().markup();
  const auto part = [&](const Value& value) {
    return markup && !value.string().markup() ? escape_html(value.text()) : value.text();
  };
  runtime.expect(1, static_cast<int64_t>(a.text().size() + b.text().size()));
  std::string text;
  text.reserve(a.text().size() + b.text().size());
  text += part(a);
  text += part(b);
  return runtime.text(std::move(text), markup);
}

Value repeated(Runtime& runtime, const Value& what, int64_t times) {
  times = std::max<int64_t>(times, 0);
  if (what.is_string()) {
    const std::string& unit = what.text();
    runtime.expect(times, static_cast<int64_t>(unit.size()));
    std::string text;
    if (!unit.empty()) text.reserve(unit.size() * static_cast<size_t>(times));
    for (int64_t i = 0; i < times && !unit.empty(); ++i) text += unit;
    return runtime.text(std::move(text), what.string().markup());
  }
  const std::vector<Value>& unit = what.items();
  runtime.expect(times, static_cast<int64_t>(unit.size() * sizeof(Value)));
  std::vector<Value> items;
  if (!unit.empty()) items.reserve(unit.size() * static_cast<size_t>(times));
  for (int64_t i = 0; i < times && !unit.empty(); ++i) items.insert(items.end(), unit.begin(), unit.end());
  return what.is_list() ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
}

bool repeats(const Value& value) {
  return value.is_string() || value.is_sequence();
}

}  // namespace

Value arithmetic(Runtime& runtime, Operator operation, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_float() || b.is_float()) return float_arithmetic(operation, a.real(), b.real());
    return integer_arithmetic(operation, a.integer(), b.integer());
  }
  if (operation == Operator::kModulo && a.is_string()) return printf_format(runtime, a, b);
  if (a.is_undefined()) use_of_undefined(a);
  if (b.is_undefined()) use_of_undefined(b);
  if (operation == Operator::kAdd) {
    if (a.is_string() && b.is_string()) return joined_text(runtime, a, b);
    if (a.is_sequence() && a.kind() == b.kind()) {
      runtime.expect(1, static_cast<int64_t>((a.items().size() + b.items().size()) * sizeof(Value)));
      std::vector<Value> items = a.items();
      items.insert(items.end(), b.items().begin(), b.items().end());
      return a.is_list() ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
    }
  }
  if (operation == Operator::kMultiply) {
    if (repeats(a) && b.is_integral()) return repeated(runtime, a, b.integer());
    if (a.is_integral() && repeats(b)) return repeated(runtime, b, a.integer());
  }
  bad_input("unsupported operands for {}: '{}' and '{}'", sign_of(operation), type_name(a), type_name(b));
}

Value negate(Runtime&, const Value& value) {
  if (value.is_float()) return Value::real(-value.real());
  if (value.is_integral()) {
    if (value.integer() == kLowest) too_large();
    return Value::integer(-value.integer());
  }
  if (value.is_undefined()) use_of_undefined(value);
  bad_input("bad operand for unary -: '{}'", type_name(value));
}

Value plus(Runtime&, const Value& value) {
  if (value.is_float()) return value;
  if (value.is_integral()) return Value::integer(value.integer());
  if (value.is_undefined()) use_of_undefined(value);
  bad_input("bad operand for unary +: '{}'", type_name(value));
}

}  // namespace martlet::text::jinja
