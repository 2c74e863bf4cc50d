// Filters on numbers, and from text to numbers.

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "text/template_arguments.h"
#include "text/template_filter_groups.h"
#include "text/template_format.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"
#include "text/template_text.h"
#include "text/template_unicode.h"

namespace martlet::text::jinja {
namespace {

// Digits as Python's int() and float() read them: single underscores between digits, no others.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const auto digit = [&](size_t at) {
      return at < text.size() && std::isxdigit(static_cast<unsigned char>(text[at])) != 0;
    };
    if (i == 0 || !digit(i - 1) || !digit(i + 1)) return std::nullopt;
  }
  return out;
}

// int(text, base), or nothing where that raises.
std::optional<int64_t> parse_integer(std::string_view source, int64_t base) {
  std::string_view text = strip_space(source);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (base != 0 && (base < 2 || base > 36)) bad_input("int: the base must be 0 or from 2 to 36");
  if (text.size() > 2 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    const int64_t marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked != 0 && (base == marked || base == 0)) {
      base = marked;
      text.remove_prefix(text[2] == '_' ? 3 : 2);
    }
  }
  if (base == 0) {
    if (text.starts_with('0') && text.find_first_not_of("0_") != std::string_view::npos) return std::nullopt;
    base = 10;
  }
  const std::optional<std::string> digits = without_underscores(text);
  if (!digits || digits->empty() || digits->front() == '-') return std::nullopt;
  const std::string signed_digits = (negative ? "-" : "") + *digits;
  int64_t value = 0;
  const char* const end = signed_digits.data() + signed_digits.size();
  const auto [stop, error] = std::from_chars(signed_digits.data(), end, value, static_cast<int>(base));
  if (stop != end || error == std::errc::invalid_argument) return std::nullopt;
  if (error != std::errc()) bad_input("int: an integer does not fit 64 bits");
  return value;
}

// float(text), or nothing where that raises.
std::optional<double> parse_float(std::string_view source) {
  std::string_view text = strip_space(source);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const std::string word = lower_case(text);
  if (word == "inf" || word == "infinity") return negative ? -HUGE_VAL : HUGE_VAL;
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  const std::optional<std::string> digits = without_underscores(text);
  if (!digits || digits->find_first_not_of("0123456789.eE+-") != std::string::npos ||
      digits->starts_with('-'))
    return std::nullopt;
  double value = 0.0;
  const char* const end = digits->data() + digits->size();
  const auto [stop, error] = std::from_chars(digits->data(), end, value);
  if (stop != end || error == std::errc::invalid_argument) return std::nullopt;
  if (error == std::errc::result_out_of_range) value = std::strtod(digits->c_str(), nullptr);
  return negative ? -value : value;
}

std::optional<double> to_float(const Value& value) {
  if (value.is_undefined()) use_of_undefined(value);
  if (value.is_number()) return value.real();
  return value.is_string() ? parse_float(value.text()) : std::nullopt;
}

int64_t truncated(double value) {
  if (!(std::fabs(value) < 9.2e18)) bad_input("int: an integer does not fit 64 bits");
  return static_cast<int64_t>(value);
}

Value to_int(Runtime&, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("int", arguments, {"default", "base"}, 0);
  const Value fallback = bound[0].is_missing() ? Value::integer(0) : bound[0];
  if (subject.is_undefined()) use_of_undefined(subject);
  if (subject.is_integral()) return Value::integer(subject.integer());
  if (subject.is_float()) {
    if (std::isinf(subject.real())) bad_input("int: cannot convert float infinity to integer");
    return std::isnan(subject.real()) ? fallback : Value::integer(truncated(subject.real()));
  }
  if (!subject.is_string()) return fallback;
  if (const auto value = parse_integer(subject.text(), integer_argument(bound[1], "int", 10)))
    return Value::integer(*value);
  const std::optional<double> value = parse_float(subject.text());
  return value && std::isfinite(*value) ? Value::integer(truncated(*value)) : fallback;
}

Value to_float_filter(Runtime&, const Value& subject, Arguments& arguments) {
  const Value fallback = bind_arguments("float", arguments, {"default"}, 0)[0];
  if (const std::optional<double> value = to_float(subject)) return Value::real(*value);
  return fallback.is_missing() ? Value::real(0.0) : fallback;
}

Value absolute(Runtime& runtime, const Value& subject, Arguments& arguments) {
  bind_arguments("abs", arguments, {}, 0);
  if (subject.is_float()) return Value::real(std::fabs(subject.real()));
  if (!subject.is_integral()) bad_input("abs: wants a number, not {}", type_name(subject));
  return subject.integer() < 0 ? negate(runtime, subject) : Value::integer(subject.integer());
}

// An integer to a multiple of 10^digits, halves to the even one.
int64_t round_integer(int64_t value, int64_t digits) {
  if (digits > 18) return 0;
  int64_t unit = 1;
  for (int64_t i = 0; i < digits; ++i) unit *= 10;
  int64_t quotient = value / unit;
  const int64_t rest = value % unit;
  const int64_t twice = rest < 0 ? -2 * (rest / 2) - 2 * (rest % 2) : 2 * rest;
  if (twice > unit || (twice == unit && quotient % 2 != 0)) quotient += value < 0 ? -1 : 1;
  int64_t result = 0;
  if (__builtin_mul_overflow(quotient, unit, &result)) bad_input("round: an integer does not fit 64 bits");
  return result;
}

// Python's round(): the decimal nearest to the float's exact value, halves to even.
double round_float(Runtime& runtime, double value, int64_t precision) {
  if (!std::isfinite(value) || precision > 320) return value;
  if (precision >= 0) {
    FormatSpec spec;
    spec.type = 'f';
    spec.precision = precision;
    return std::strtod(format_float_spec(runtime, value, spec).c_str(), nullptr);
  }
  if (precision < -310) return std::copysign(0.0, value);
  const long double unit = std::pow(10.0L, static_cast<long double>(-precision));
  return static_cast<double>(std::nearbyint(static_cast<long double>(value) / unit) * unit);
}

Value round(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const std::vector<Value> bound = bind_arguments("round", arguments, {"precision", "method"}, 0);
  const int64_t precision = integer_argument(bound[0], "round", 0);
  const std::string method = bound[1].is_missing() ? "common" : text_argument(bound[1], "round");
  if (method != "common" && method != "ceil" && method != "floor")
    bad_input("round: the method must be common, ceil or floor");
  if (subject.is_undefined()) use_of_undefined(subject);
  if (!subject.is_number()) bad_input("round: wants a number, not {}", type_name(subject));
  if (method == "common") {
    if (subject.is_float()) return Value::real(round_float(runtime, subject.real(), precision));
    return Value::integer(precision >= 0 ? subject.integer() : round_integer(subject.integer(), -precision));
  }
  const Value unit = arithmetic(runtime, Operator::kPower, Value::integer(10), Value::integer(precision));
  const Value scaled = arithmetic(runtime, Operator::kMultiply, subject, unit);
  Value whole = scaled;
  if (scaled.is_float()) {
    if (!std::isfinite(scaled.real())) bad_input("round: cannot convert the number to an integer");
    whole =
        Value::integer(truncated(method == "ceil" ? std::ceil(scaled.real()) : std::floor(scaled.real())));
  }
  return arithmetic(runtime, Operator::kDivide, whole, unit);
}

Value file_size(Runtime& runtime, const Value& subject, Arguments& arguments) {
  const bool binary =
      flag_argument(runtime, bind_arguments("filesizeformat", arguments, {"binary"}, 0)[0], false);
  const std::optional<double> bytes = to_float(subject);
  if (!bytes) bad_input("filesizeformat: wants a number, not {}", repr_of(runtime, subject));
  const double base = binary ? 1024 : 1000;
  if (*bytes == 1) return runtime.text("1 Byte");
  if (*bytes < base) return runtime.text(fmt::format("{} Bytes", truncated(*bytes)));
  constexpr std::string_view kPrefixes = "kMGTPEZY";
  double unit = base;
  for (size_t i = 0;; ++i) {
    unit *= base;
    if (*bytes >= unit && i + 1 < kPrefixes.size()) continue;
    const char prefix = binary && i == 0 ? 'K' : kPrefixes[i];
    return runtime.text(fmt::format("{:.1f} {}{}", base * *bytes / unit, prefix, binary ? "iB" : "B"));
  }
}

constexpr std::array kFilters = std::to_array<NamedFunction>({{"abs", absolute},
                                                              {"filesizeformat", file_size},
                                                              {"float", to_float_filter},
                                                              {"int", to_int},
                                                              {"round", round}});

}  // namespace

std::span<const NamedFunction> number_filters() {
  return kFilters;
}

}  // namespace martlet::text::jinja
