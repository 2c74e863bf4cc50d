// json.dumps: what `tojson` prints.

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"

namespace martlet::text::jinja {
namespace {

void append_unit(uint32_t unit, std::string& out) {
  out += fmt::format("\\u{:04x}", unit);
}

void append_json_text(std::string_view text, bool ascii, std::string& out) {
  out += '"';
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    switch (c) {
      case '"':
        out += "\\\"";
        ++at;
        continue;
      case '\\':
        out += "\\\\";
        ++at;
        continue;
      case '\n':
        out += "\\n";
        ++at;
        continue;
      case '\r':
        out += "\\r";
        ++at;
        continue;
      case '\t':
        out += "\\t";
        ++at;
        continue;
      case '\b':
        out += "\\b";
        ++at;
        continue;
      case '\f':
        out += "\\f";
        ++at;
        continue;
      default:
        break;
    }
    const CodePoint point = decode_utf8(text, at);
    const auto code = static_cast<uint32_t>(point.value);
    if (code < 0x20) {
      append_unit(code, out);
    } else if (!ascii || code < 0x80) {  // 0x7f stays in both
      out += text.substr(at, static_cast<size_t>(point.length));
    } else if (code < 0x10000) {
      append_unit(code, out);
    } else {
      append_unit(0xD800 + ((code - 0x10000) >> 10), out);
      append_unit(0xDC00 + ((code - 0x10000) & 0x3FF), out);
    }
    at += static_cast<size_t>(point.length);
  }
  out += '"';
}

std::string json_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return float_text(value);
}

class JsonPrinter {
 public:
  JsonPrinter(Runtime& runtime, const JsonStyle& style, std::string& out)
      : runtime_(runtime), style_(style), out_(out) {}

  void print(const Value& value, int level) {
    runtime_.step();
    switch (value.kind()) {
      case ValueKind::kNone:
        out_ += "null";
        return;
      case ValueKind::kBoolean:
        out_ += value.boolean() ? "true" : "false";
        return;
      case ValueKind::kInteger:
        out_ += std::to_string(value.integer());
        return;
      case ValueKind::kFloat:
        out_ += json_float(value.real());
        return;
      case ValueKind::kString:
        print_string(value.text());
        return;
      case ValueKind::kList:
      case ValueKind::kTuple:
        print_list(value.items(), level);
        return;
      case ValueKind::kDict:
        print_object(value.dict(), level);
        return;
      default:
        bad_input("tojson: an object of type {} has no JSON form", type_name(value));
    }
  }

 private:
  void print_string(std::string_view text) {
    runtime_.handle(text.size());
    runtime_.expect(1, static_cast<int64_t>(out_.size() + text.size()));
    append_json_text(text, style_.ascii, out_);
  }

  void new_line(int level) {
    if (!style_.indented) return;
    out_ += '\n';
    runtime_.expect(level, static_cast<int64_t>(style_.indent.size()));
    runtime_.handle(style_.indent.size() * static_cast<size_t>(level));
    for (int i = 0; i < level; ++i) out_ += style_.indent;
  }

  void print_list(const std::vector<Value>& items, int level) {
    if (items.empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      new_line(level + 1);
      print(items[i], level + 1);
    }
    new_line(level);
    out_ += ']';
  }

  void print_object(const DictObject& dict, int level) {
    if (dict.entries().empty()) {
      out_ += "{}";
      return;
    }
    std::vector<size_t> order(dict.entries().size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (style_.sort_keys) {
      std::vector<Value> keys;
      for (const auto& entry : dict.entries()) keys.push_back(entry.first);
      order = sorted_order(runtime_, keys, false);
    }
    out_ += '{';
    for (size_t i = 0; i < order.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      new_line(level + 1);
      print_key(dict.entries()[order[i]].first);
      out_ += style_.key_separator;
      print(dict.entries()[order[i]].second, level + 1);
    }
    new_line(level);
    out_ += '}';
  }

  void print_key(const Value& key) {
    if (key.is_string()) return print_string(key.text());
    if (!key.is_number() && !key.is_none())
      bad_input("tojson: a key must be text, a number, a bool or none, not {}", type_name(key));
    out_ += '"';
    print(key, 0);
    out_ += '"';
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  std::string& out_;
};

}  // namespace

void print_json(Runtime& runtime, const Value& value, const JsonStyle& style, std::string& out) {
  JsonPrinter(runtime, style, out).print(value, 0);
}

}  // namespace martlet::text::jinja
