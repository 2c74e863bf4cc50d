// text.format(...): Python's replacement fields, with attributes and items looked up as the sandbox allows.

#include <charconv>

#include "text/template_attribute.h"
#include "text/template_format.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"

namespace martlet::text::jinja {
namespace {

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

int64_t index_of(std::string_view digits) {
  int64_t index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc()) bad_input("a format's field number is too large");
  return index;
}

class BraceFormat {
 public:
  BraceFormat(Runtime& runtime, bool markup, const Arguments& arguments)
      : runtime_(runtime), markup_(markup), arguments_(arguments) {}

  // Python lets fields stand in a specification, and no deeper.
  std::string run(std::string_view format, int levels) {
    if (levels < 0) bad_input("format: replacement fields are nested too deep");
    std::string out;
    for (size_t at = 0; at < format.size();) {
      const char c = format[at];
      if (c != '{' && c != '}') {
        const size_t end = std::min(format.find_first_of("{}", at), format.size());
        out += format.substr(at, end - at);
        at = end;
      } else if (at + 1 < format.size() && format[at + 1] == c) {
        out += c;
        at += 2;
      } else if (c == '}') {
        bad_input("format: single '}}' encountered");
      } else {
        const size_t end = field_end(format, at);
        out += field(format.substr(at + 1, end - at - 1), levels);
        at = end + 1;
      }
      runtime_.expect(1, static_cast<int64_t>(out.size()));
    }
    runtime_.handle(out.size());
    return out;
  }

 private:
  static size_t field_end(std::string_view format, size_t begin) {
    int open = 1;
    for (size_t at = begin + 1; at < format.size(); ++at) {
      if (format[at] == '{') ++open;
      if (format[at] == '}' && --open == 0) return at;
    }
    bad_input("format: expected '}}' before the end of the text");
  }

  std::string field(std::string_view body, int levels) {
    size_t name_end = 0;
    for (bool bracket = false; name_end < body.size(); ++name_end) {
      const char c = body[name_end];
      if (c == '[') bracket = true;
      if (c == ']') bracket = false;
      if (!bracket && (c == '!' || c == ':')) break;
      if (c == '{') bad_input("format: unexpected '{{' in a field name");
    }
    Value value = lookup(body.substr(0, name_end));
    std::string_view rest = body.substr(name_end);
    if (!rest.empty() && rest.front() == '!') {
      if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':'))
        bad_input("format: expected ':' after the conversion");
      value = converted(value, rest[1]);
      rest.remove_prefix(2);
    }
    const std::string spec = rest.empty() ? std::string() : run(rest.substr(1), levels - 1);
    const bool safe = value.is_string() && value.string().markup();
    if (markup_ && safe && !spec.empty()) bad_input("format: a specification cannot be given for Markup");
    std::string text = format_value(runtime_, value, spec);
    return markup_ && !safe ? escape_html(text) : text;
  }

  Value converted(const Value& value, char conversion) {
    switch (conversion) {
      case 's':
        return runtime_.text(text_of(runtime_, value));
      case 'r':
        return runtime_.text(repr_of(runtime_, value));
      case 'a':
        return printf_format(runtime_, runtime_.text("%a"), runtime_.tuple({value}));
      default:
        bad_input("format: unknown conversion '{}'", conversion);
    }
  }

  Value lookup(std::string_view name) {
    if (name.empty()) {
      if (numbered_) bad_input("format: cannot switch from given field numbers to automatic ones");
      automatic_ = true;
      return positional(next_++);
    }
    if (all_digits(name)) {
      if (automatic_) bad_input("format: cannot switch from automatic field numbers to given ones");
      numbered_ = true;
    }
    size_t at = std::min(name.find_first_of(".["), name.size());
    const std::string_view first = name.substr(0, at);
    Value value = all_digits(first) ? positional(index_of(first)) : named(first);
    while (at < name.size()) {
      if (name[at] == '.') {
        const size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
        if (end == at + 1) bad_input("format: empty attribute in a field name");
        value = get_attribute(runtime_, value, name.substr(at + 1, end - at - 1));
        at = end;
      } else if (name[at] == '[') {
        const size_t end = name.find(']', at);
        if (end == std::string_view::npos || end == at + 1)
          bad_input("format: empty or unclosed [] in a field name");
        const std::string_view key = name.substr(at + 1, end - at - 1);
        value = get_item(runtime_, value,
                         all_digits(key) ? Value::integer(index_of(key)) : runtime_.text(std::string(key)));
        at = end + 1;
      } else {
        bad_input("format: only '.' or '[' may follow ']' in a field name");
      }
    }
    return value;
  }

  Value positional(int64_t index) const {
    if (index >= static_cast<int64_t>(arguments_.positional.size()))
      bad_input("format: there is no argument {}", index);
    return arguments_.positional[static_cast<size_t>(index)];
  }

  Value named(std::string_view name) const {
    for (const auto& [key, value] : arguments_.keywords) {
      if (key == name) return value;
    }
    bad_input("format: there is no argument '{}'", name);
  }

  Runtime& runtime_;
  bool markup_;
  const Arguments& arguments_;
  bool automatic_ = false;
  bool numbered_ = false;
  int64_t next_ = 0;
};

}  // namespace

Value brace_format(Runtime& runtime, const Value& format, const Arguments& arguments) {
  const bool markup = format.string().markup();
  return runtime.text(BraceFormat(runtime, markup, arguments).run(format.text(), 1), markup);
}

}  // namespace martlet::text::jinja
