// `format % values`: Python's printf-style formatting.

#include <cmath>

#include "base/utf8.h"
#include "text/template_format.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"
#include "text/template_unicode.h"

namespace martlet::text::jinja {
namespace {

class Printf {
 public:
  Printf(Runtime& runtime, const Value& format, const Value& values)
      : runtime_(runtime), format_(format.text()), markup_(format.string().markup()), values_(values) {
    // Text is a single value though it is a sequence; everything else with items can stand unused.
    mapping_ = values.is_dict() || values.is_list() || values.is_undefined() ||
               (values.is_dynamic() && values.dynamic().type_name() == "range");
  }

  Value run() {
    while (at_ < format_.size()) {
      const size_t mark = std::min(format_.find('%', at_), format_.size());
      out_ += format_.substr(at_, mark - at_);
      runtime_.expect(1, static_cast<int64_t>(out_.size()));
      at_ = mark;
      if (at_ < format_.size()) field();
    }
    const size_t given = values_.is_tuple() ? values_.items().size() : 1;
    if (used_ < given && !mapping_) bad_input("not all arguments converted during string formatting");
    return runtime_.text(std::move(out_), markup_);
  }

 private:
  char peek() const {
    if (at_ >= format_.size()) bad_input("incomplete format: '%' at the end");
    return format_[at_];
  }

  Value next_value() {
    if (values_.is_tuple()) {
      if (used_ >= values_.items().size()) bad_input("not enough arguments for the format string");
      return values_.items()[used_++];
    }
    if (used_ > 0) bad_input("not enough arguments for the format string");
    ++used_;
    return values_;
  }

  int64_t number() {
    if (peek() == '*') {
      ++at_;
      const Value value = next_value();
      if (!value.is_integral()) bad_input("* wants an integer");
      return value.integer();
    }
    int64_t result = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      result = result * 10 + (peek() - '0');
      if (result > (int64_t{1} << 40)) bad_input("a format's width or precision is too large");
    }
    return result;
  }

  // %(name)... : the value of that key.
  bool named(Value& value) {
    if (peek() != '(') return false;
    if (!values_.is_dict()) bad_input("format requires a mapping");
    const size_t begin = ++at_;
    for (int open = 1; open > 0; ++at_) {
      if (at_ >= format_.size()) bad_input("incomplete format key");
      if (format_[at_] == '(') ++open;
      if (format_[at_] == ')') --open;
    }
    const Value* found = values_.dict().find(format_.substr(begin, at_ - 1 - begin));
    if (found == nullptr)
      bad_input("the format's key '{}' is not in the dict", format_.substr(begin, at_ - 1 - begin));
    value = *found;
    return true;
  }

  void field() {
    ++at_;
    Value value;
    const bool has_name = named(value);
    FormatSpec spec;
    spec.align = '>';
    bool left = false;
    for (bool flags = true; flags;) {
      switch (peek()) {
        case '-':
          left = true;
          break;
        case '+':
          spec.sign = '+';
          break;
        case ' ':
          spec.sign = spec.sign == '+' ? '+' : ' ';
          break;
        case '#':
          spec.alternate = true;
          break;
        case '0':
          spec.zero = true;
          break;
        default:
          flags = false;
      }
      if (flags) ++at_;
    }
    spec.width = number();
    if (spec.width < 0) {
      left = true;
      spec.width = -spec.width;
    }
    if (peek() == '.') {
      ++at_;
      spec.precision = std::max<int64_t>(number(), 0);
    }
    while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++at_;
    spec.type = peek();
    ++at_;
    if (left) spec.align = '<';
    if (spec.type == '%') {
      out_ += '%';
      return;
    }
    if (!has_name) value = next_value();
    convert(value, spec, left);
    runtime_.expect(1, static_cast<int64_t>(out_.size()));
  }

  void convert(const Value& value, FormatSpec spec, bool left) {
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a':
        return convert_text(value, spec);
      case 'c':
        return convert_character(value, spec);
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return convert_integer(value, spec, left);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        break;
      default:
        bad_input("unsupported format character '{}'", spec.type);
    }
    if (value.is_undefined()) use_of_undefined(value);
    if (!value.is_number())
      bad_input("%{} format: a real number is required, not {}", spec.type, type_name(value));
    zero_fill(spec, left);
    out_ += format_float_spec(runtime_, value.real(), spec);
  }

  static void zero_fill(FormatSpec& spec, bool left) {
    if (!spec.zero || left) return;
    spec.align = '=';
    spec.fill = U'0';
  }

  void convert_text(const Value& value, const FormatSpec& spec) {
    std::string text = spec.type == 's' ? text_of(runtime_, value) : repr_of(runtime_, value);
    const bool safe = value.is_string() && value.string().markup();
    if (markup_ && !(safe && spec.type == 's')) text = escape_html(text);
    if (spec.type == 'a') text = ascii(text);
    if (spec.precision >= 0) text.resize(code_point_offset(text, spec.precision));
    out_ += pad_text(runtime_, text, spec, spec.align);
  }

  static std::string ascii(const std::string& text) {
    std::string out;
    for (const char32_t c : code_points(text)) {
      if (c < 0x80) {
        out += static_cast<char>(c);
      } else {
        const auto code = static_cast<uint32_t>(c);
        out += c < 0x100     ? fmt::format("\\x{:02x}", code)
               : c < 0x10000 ? fmt::format("\\u{:04x}", code)
                             : fmt::format("\\U{:08x}", code);
      }
    }
    return out;
  }

  void convert_character(const Value& value, const FormatSpec& spec) {
    std::string text;
    if (value.is_integral() && value.integer() >= 0 && value.integer() <= 0x10FFFF) {
      append_utf8(text, static_cast<char32_t>(value.integer()));
    } else if (value.is_string() && value.string().length() == 1) {
      text = value.text();
    } else {
      bad_input("%c requires an integer or a single character");
    }
    out_ += pad_text(runtime_, text, spec, spec.align);
  }

  void convert_integer(const Value& value, FormatSpec spec, bool left) {
    if (value.is_undefined()) use_of_undefined(value);
    const bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    if (!value.is_integral() && !(decimal && value.is_float())) {
      bad_input("%{} format: a number is required, not {}", spec.type, type_name(value));
    }
    if (value.is_float() && !(std::fabs(value.real()) < 9.2e18))
      bad_input("%{} format: the number is too large", spec.type);
    const int64_t number = value.is_float() ? static_cast<int64_t>(value.real()) : value.integer();
    FormatSpec digits_only;
    digits_only.type = spec.type;
    std::string digits = format_integer_spec(runtime_, number, digits_only);
    if (number < 0) digits.erase(0, 1);
    if (spec.precision > static_cast<int64_t>(digits.size())) {
      runtime_.expect(spec.precision, 1);
      digits.insert(0, static_cast<size_t>(spec.precision) - digits.size(), '0');
    }
    std::string prefix = number < 0 ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
    if (spec.alternate && !decimal) prefix += std::string("0") + spec.type;
    zero_fill(spec, left);
    out_ += pad_number(runtime_, prefix, digits, spec);
  }

  Runtime& runtime_;
  const std::string& format_;
  bool markup_;
  const Value& values_;
  bool mapping_ = false;
  size_t at_ = 0;
  size_t used_ = 0;
  std::string out_;
};

}  // namespace

Value printf_format(Runtime& runtime, const Value& format, const Value& values) {
  return Printf(runtime, format, values).run();
}

}  // namespace martlet::text::jinja
