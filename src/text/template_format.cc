// Fields of numbers and text, and the specification language of format().

#include "text/template_format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "base/utf8.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"
#include "text/template_unicode.h"

namespace martlet::text::jinja {
namespace {

// More digits than any text needs; keeps the C library's buffers small.
constexpr int64_t kMaxPrecision = 10'000;
constexpr int64_t kMaxGroupedWidth = 4'096;

std::string repeated(Runtime& runtime, char32_t fill, int64_t count) {
  std::string unit;
  append_utf8(unit, fill);
  runtime.expect(count, static_cast<int64_t>(unit.size()));
  std::string out;
  for (int64_t i = 0; i < count; ++i) out += unit;
  runtime.handle(out.size());
  return out;
}

std::string grouped(std::string_view digits, char separator, int group) {
  const size_t whole = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  std::string out;
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % static_cast<size_t>(group) == 0) out += separator;
    out += digits[i];
  }
  return out + std::string(digits.substr(whole));
}

std::string sign_text(bool negative, char sign) {
  if (negative) return "-";
  return sign == '-' ? "" : std::string(1, sign);
}

std::string print_double(const char* layout, int precision, double value) {
  const int size = std::snprintf(nullptr, 0, layout, precision, value);
  std::string out(static_cast<size_t>(std::max(size, 0)) + 1, '\0');
  std::snprintf(out.data(), out.size(), layout, precision, value);
  out.pop_back();
  return out;
}

// The form of a float without a type: like `g`, but never an integer's, and the shortest when no precision is
// given.
std::string general_digits(double value, int64_t precision) {
  if (precision < 0) return float_text(value);
  const int digits = static_cast<int>(std::max<int64_t>(precision, 1));
  const std::string scientific = print_double("%.*e", digits - 1, value);
  const int exponent = std::atoi(scientific.c_str() + scientific.find('e') + 1);
  if (exponent >= -4 && exponent < digits - 1) {
    std::string out = print_double("%.*g", digits, value);
    return out.find('.') == std::string::npos ? out + ".0" : out;
  }
  std::string mantissa = scientific.substr(0, scientific.find('e'));
  if (mantissa.find('.') != std::string::npos) {
    mantissa.erase(mantissa.find_last_not_of('0') + 1);
    if (mantissa.back() == '.') mantissa.pop_back();
  }
  return mantissa + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
}

std::string float_digits(double value, const FormatSpec& spec) {
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
  switch (spec.type) {
    case 'e':
      return print_double(spec.alternate ? "%#.*e" : "%.*e", precision, value);
    case 'E':
      return print_double(spec.alternate ? "%#.*E" : "%.*E", precision, value);
    case 'f':
    case 'F':
      return print_double(spec.alternate ? "%#.*f" : "%.*f", precision, value);
    case 'g':
    case 'n':
      return print_double(spec.alternate ? "%#.*g" : "%.*g", precision, value);
    case 'G':
      return print_double(spec.alternate ? "%#.*G" : "%.*G", precision, value);
    case '%':
      return print_double("%.*f", precision, value * 100.0) + "%";
    default:
      return general_digits(value, spec.precision);
  }
}

bool is_align(char32_t c) {
  return c == U'<' || c == U'>' || c == U'=' || c == U'^';
}

class SpecParser {
 public:
  explicit SpecParser(std::string_view text) : points_(code_points(text)) {}

  FormatSpec parse() {
    FormatSpec spec;
    bool filled = false;
    if (points_.size() >= 2 && is_align(points_[1])) {
      spec.fill = points_[0];
      spec.align = static_cast<char>(points_[1]);
      filled = true;
      at_ = 2;
    } else if (!points_.empty() && is_align(points_[0])) {
      spec.align = static_cast<char>(points_[0]);
      at_ = 1;
    }
    if (at(U'+') || at(U'-') || at(U' ')) spec.sign = static_cast<char>(points_[at_++]);
    if (at(U'#')) spec.alternate = true, ++at_;
    if (at(U'0')) {
      spec.zero = true;
      if (!filled) spec.fill = U'0';
      ++at_;
    }
    spec.width = number().value_or(0);
    if (at(U',') || at(U'_')) spec.grouping = static_cast<char>(points_[at_++]);
    if (at(U'.')) {
      ++at_;
      const std::optional<int64_t> precision = number();
      if (!precision) bad_input("a format's precision is missing after its point");
      spec.precision = *precision;
    }
    if (at_ < points_.size() && points_[at_] < 0x80) spec.type = static_cast<char>(points_[at_++]);
    if (at_ != points_.size()) bad_input("invalid format specification");
    return spec;
  }

 private:
  bool at(char32_t c) const { return at_ < points_.size() && points_[at_] == c; }

  std::optional<int64_t> number() {
    std::optional<int64_t> value;
    for (; at_ < points_.size() && points_[at_] >= U'0' && points_[at_] <= U'9'; ++at_) {
      value = value.value_or(0) * 10 + static_cast<int64_t>(points_[at_] - U'0');
      if (*value > (int64_t{1} << 40)) bad_input("a format's width or precision is too large");
    }
    return value;
  }

  std::u32string points_;
  size_t at_ = 0;
};

}  // namespace

std::string pad_text(Runtime& runtime, std::string_view text, const FormatSpec& spec, char align) {
  const int64_t length = count_code_points(text);
  if (length >= spec.width) return std::string(text);
  const int64_t padding = spec.width - length;
  const int64_t left = align == '>' ? padding : align == '^' ? padding / 2 : 0;
  return repeated(runtime, spec.fill, left) + std::string(text) +
         repeated(runtime, spec.fill, padding - left);
}

std::string pad_number(Runtime& runtime, std::string_view prefix, std::string_view digits,
                       const FormatSpec& spec) {
  const char align = spec.align != 0 ? spec.align : spec.zero ? '=' : '>';
  std::string shown(digits);
  if (spec.grouping != 0) {
    const int group = spec.type == 'x' || spec.type == 'X' || spec.type == 'b' || spec.type == 'o' ? 4 : 3;
    shown = grouped(digits, spec.grouping, group);
    if (align == '=' && spec.fill == U'0') {
      // Zeros in front are grouped like any digits, so the field may come out one wider.
      if (spec.width > kMaxGroupedWidth)
        bad_input("a grouped field of {} characters is too wide", spec.width);
      std::string longer(digits);
      while (static_cast<int64_t>(prefix.size() + shown.size()) < spec.width) {
        longer.insert(0, 1, '0');
        shown = grouped(longer, spec.grouping, group);
      }
    }
  }
  const int64_t length = static_cast<int64_t>(prefix.size() + shown.size());
  if (align == '=' && length < spec.width) {
    return std::string(prefix) + repeated(runtime, spec.fill, spec.width - length) + shown;
  }
  return pad_text(runtime, std::string(prefix) + shown, spec, align);
}

std::string format_integer_spec(Runtime& runtime, int64_t value, const FormatSpec& spec) {
  const bool negative = value < 0;
  const uint64_t size = negative ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string prefix = sign_text(negative, spec.sign);
  switch (spec.type) {
    case 'b':
      return pad_number(runtime, prefix + (spec.alternate ? "0b" : ""), fmt::format("{:b}", size), spec);
    case 'o':
      return pad_number(runtime, prefix + (spec.alternate ? "0o" : ""), fmt::format("{:o}", size), spec);
    case 'x':
      return pad_number(runtime, prefix + (spec.alternate ? "0x" : ""), fmt::format("{:x}", size), spec);
    case 'X':
      return pad_number(runtime, prefix + (spec.alternate ? "0X" : ""), fmt::format("{:X}", size), spec);
    default:
      return pad_number(runtime, prefix, std::to_string(size), spec);
  }
}

std::string format_float_spec(Runtime& runtime, double value, const FormatSpec& spec) {
  if (spec.precision > kMaxPrecision) bad_input("a precision of {} digits is too large", spec.precision);
  const std::string sign = sign_text(std::signbit(value) && !std::isnan(value), spec.sign);
  if (!std::isfinite(value)) {
    std::string name = std::isnan(value) ? "nan" : "inf";
    if (spec.type == 'E' || spec.type == 'F' || spec.type == 'G') name = upper_case(name);
    return pad_number(runtime, sign, spec.type == '%' ? name + "%" : name, spec);
  }
  return pad_number(runtime, sign, float_digits(std::fabs(value), spec), spec);
}

std::string format_value(Runtime& runtime, const Value& value, std::string_view spec_text) {
  if (spec_text.empty()) return text_of(runtime, value);
  const FormatSpec spec = SpecParser(spec_text).parse();
  const auto unknown = [&] {
    bad_input("unknown format code '{}' for a value of type '{}'", spec.type, type_name(value));
  };
  if (value.is_string()) {
    if (spec.type != 0 && spec.type != 's') unknown();
    if (spec.align == '=' || spec.sign != '-' || spec.alternate || spec.grouping != 0) {
      bad_input("a sign, '=', '#' and grouping are not allowed in a format of text");
    }
    std::string_view text = value.text();
    if (spec.precision >= 0) text = text.substr(0, code_point_offset(text, spec.precision));
    return pad_text(runtime, text, spec, spec.align != 0 ? spec.align : '<');
  }
  constexpr std::string_view kFloatTypes = "eEfFgG%";
  if (value.is_integral() &&
      (spec.type == 0 || std::string_view("bdoxXnc").find(spec.type) != std::string_view::npos)) {
    if (spec.precision >= 0) bad_input("a precision is not allowed in a format of an integer");
    if (spec.type != 'c') return format_integer_spec(runtime, value.integer(), spec);
    if (value.integer() < 0 || value.integer() > 0x10FFFF) bad_input("{} is no character", value.integer());
    std::string character;
    append_utf8(character, static_cast<char32_t>(value.integer()));
    return pad_text(runtime, character, spec, spec.align != 0 ? spec.align : '<');
  }
  if (value.is_number()) {
    if (spec.type != 0 && spec.type != 'n' && kFloatTypes.find(spec.type) == std::string_view::npos)
      unknown();
    return format_float_spec(runtime, value.real(), spec);
  }
  bad_input("unsupported format specification for a value of type '{}'", type_name(value));
}

}  // namespace martlet::text::jinja
