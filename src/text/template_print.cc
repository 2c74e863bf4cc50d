// str() and repr() of every value, as Python prints them.

#include <charconv>
#include <cmath>

#include "base/utf8.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"
#include "text/template_unicode.h"

namespace martlet::text::jinja {
namespace {

void append_escape(char32_t c, std::string& out) {
  switch (c) {
    case U'\n':
      out += "\\n";
      return;
    case U'\r':
      out += "\\r";
      return;
    case U'\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (c < 0x100) {
    out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
  } else if (c < 0x10000) {
    out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
  } else {
    out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
  }
}

void print_items(Runtime& runtime, const std::vector<Value>& items, std::string& out) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    print_repr(runtime, items[i], out);
  }
}

void print_dict(Runtime& runtime, const DictObject& dict, std::string& out) {
  out += '{';
  bool first = true;
  for (const auto& [key, value] : dict.entries()) {
    if (!first) out += ", ";
    first = false;
    print_repr(runtime, key, out);
    out += ": ";
    print_repr(runtime, value, out);
  }
  out += '}';
}

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto [end, error] =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view shortest(buffer, static_cast<size_t>(end - buffer));
  std::string out;
  if (shortest.front() == '-') {
    out += '-';
    shortest.remove_prefix(1);
  }
  const size_t mark = shortest.find('e');
  std::string digits(shortest.substr(0, mark));
  if (digits.size() > 1) digits.erase(1, 1);  // the point
  int exponent = 0;
  std::string_view exponent_text = shortest.substr(mark + 1);
  if (exponent_text.front() == '+') exponent_text.remove_prefix(1);
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out += '.' + digits.substr(1);
    out += fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  } else if (exponent < 0) {
    out += "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  } else if (exponent >= count - 1) {
    out += digits + std::string(static_cast<size_t>(exponent - count + 1), '0') + ".0";
  } else {
    out += digits.substr(0, static_cast<size_t>(exponent) + 1) + '.' +
           digits.substr(static_cast<size_t>(exponent) + 1);
  }
  return out;
}

void append_quoted(std::string_view text, std::string& out) {
  const bool doubled = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = doubled ? '"' : '\'';
  out += quote;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    const auto length = static_cast<size_t>(point.length);
    if (point.value == U'\\' || point.value == static_cast<unsigned char>(quote)) {
      out += '\\';
      out += text[at];
    } else if (is_printable(point.value)) {
      out += text.substr(at, length);
    } else {
      append_escape(point.value, out);
    }
    at += length;
  }
  out += quote;
}

void print_repr(Runtime& runtime, const Value& value, std::string& out) {
  runtime.step();
  switch (value.kind()) {
    case ValueKind::kMissing:
    case ValueKind::kUndefined:
      out += "Undefined";
      return;
    case ValueKind::kNone:
      out += "None";
      return;
    case ValueKind::kBoolean:
      out += value.boolean() ? "True" : "False";
      return;
    case ValueKind::kInteger:
      out += std::to_string(value.integer());
      return;
    case ValueKind::kFloat:
      out += float_text(value.real());
      return;
    case ValueKind::kString:
      runtime.handle(value.text().size());
      runtime.expect(1, static_cast<int64_t>(out.size() + value.text().size()));
      if (value.string().markup()) out += "Markup(";
      append_quoted(value.text(), out);
      if (value.string().markup()) out += ')';
      return;
    case ValueKind::kList:
      out += '[';
      print_items(runtime, value.items(), out);
      out += ']';
      return;
    case ValueKind::kTuple:
      out += '(';
      print_items(runtime, value.items(), out);
      out += value.items().size() == 1 ? ",)" : ")";
      return;
    case ValueKind::kDict:
      print_dict(runtime, value.dict(), out);
      return;
    case ValueKind::kDynamic: {
      const DepthGuard guard(runtime);  // a namespace may hold itself
      value.dynamic().print(runtime, out);
      return;
    }
  }
}

void print_text(Runtime& runtime, const Value& value, std::string& out) {
  if (value.is_string()) {
    runtime.handle(value.text().size());
    out += value.text();
  } else if (!value.is_undefined()) {
    print_repr(runtime, value, out);
  }
}

std::string text_of(Runtime& runtime, const Value& value) {
  std::string out;
  print_text(runtime, value, out);
  return out;
}

std::string repr_of(Runtime& runtime, const Value& value) {
  std::string out;
  print_repr(runtime, value, out);
  return out;
}

}  // namespace martlet::text::jinja
