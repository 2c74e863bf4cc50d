#include "text/template_literal.h"

#include <charconv>

#include "base/error.h"
#include "base/utf8.h"

namespace martlet::text::jinja {
namespace {

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

bool is_digit_at(std::string_view text, size_t at, int base = 10) {
  return at < text.size() && digit_value(text[at]) < base;
}

// The end of digits that single underscores may part, from a digit on; `at` when there is none.
size_t digits_end(std::string_view text, size_t at, int base = 10) {
  if (!is_digit_at(text, at, base)) return at;
  ++at;
  while (true) {
    if (is_digit_at(text, at, base)) {
      ++at;
    } else if (at < text.size() && text[at] == '_' && is_digit_at(text, at + 1, base)) {
      at += 2;
    } else {
      return at;
    }
  }
}

std::string without_underscores(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != '_') out += c;
  }
  return out;
}

// The end of a float at the beginning of `text`, or 0.
size_t float_end(std::string_view text) {
  size_t end = digits_end(text, 0);
  bool is_float = false;
  if (end < text.size() && text[end] == '.' && is_digit_at(text, end + 1)) {
    end = digits_end(text, end + 1);
    is_float = true;
  }
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    const size_t sign = end + 1 < text.size() && (text[end + 1] == '+' || text[end + 1] == '-') ? 1 : 0;
    if (is_digit_at(text, end + 1 + sign)) {
      end = digits_end(text, end + 1 + sign);
      is_float = true;
    }
  }
  return is_float ? end : 0;
}

NumberLiteral integer_of(std::string_view text, size_t begin, size_t end, int base) {
  NumberLiteral literal;
  literal.length = end;
  const std::string digits = without_underscores(text.substr(begin, end - begin));
  const auto [stop, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), literal.integer, base);
  literal.too_large = error != std::errc();
  return literal;
}

void append_point(std::string& out, uint32_t code) {
  if (code >= 0xD800 && code < 0xE000)
    bad_input("an escape names half of a surrogate pair (U+{:04X}), which is no character", code);
  if (code > 0x10FFFF) bad_input("an escape names no character");
  append_utf8(out, static_cast<char32_t>(code));
}

// \x41, \u0041, \U00000041: `count` hexadecimal digits after the letter.
uint32_t hexadecimal(std::string_view body, size_t at, size_t count) {
  uint32_t code = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!is_digit_at(body, at + i, 16)) bad_input("a \\x, \\u or \\U escape is cut short");
    code = code * 16 + static_cast<uint32_t>(digit_value(body[at + i]));
  }
  return code;
}

}  // namespace

NumberLiteral read_number(std::string_view text, bool float_allowed) {
  if (float_allowed) {
    if (const size_t end = float_end(text); end != 0) {
      NumberLiteral literal;
      literal.length = end;
      literal.is_float = true;
      const std::string digits = without_underscores(text.substr(0, end));
      const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), literal.real);
      // Out of range in either direction: C's own reading gives infinity or zero, as Python's does.
      if (error == std::errc::result_out_of_range) literal.real = std::strtod(digits.c_str(), nullptr);
      return literal;
    }
  }
  if (text[0] == '0' && text.size() > 1) {
    const char mark = static_cast<char>(text[1] | 0x20);
    const int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (base != 0) {
      const size_t first = text.size() > 2 && text[2] == '_' ? 3 : 2;
      const size_t end = digits_end(text, first, base);
      if (end > first) return integer_of(text, first, end, base);
    }
  }
  // After a leading 0 only zeros belong to the number.
  const size_t end = digits_end(text, 0, text[0] == '0' ? 1 : 10);
  return integer_of(text, 0, end, 10);
}

std::string unescape(std::string_view body) {
  constexpr std::string_view kLetters = "abfnrtv\\'\"";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
  std::string out;
  for (size_t at = 0; at < body.size();) {
    if (body[at] != '\\' || at + 1 >= body.size()) {
      out += body[at++];
      continue;
    }
    const char letter = body[at + 1];
    at += 2;
    if (const size_t known = kLetters.find(letter); known != std::string_view::npos) {
      out += kMeanings[known];
    } else if (letter == '\n') {
      continue;  // the line goes on
    } else if (letter >= '0' && letter <= '7') {
      uint32_t code = 0;
      for (int i = 0; i < 3 && is_digit_at(body, at - 1, 8); ++i, ++at)
        code = code * 8 + static_cast<uint32_t>(body[at - 1] - '0');
      --at;
      append_point(out, code);
    } else if (letter == 'x' || letter == 'u' || letter == 'U') {
      const size_t count = letter == 'x' ? 2 : letter == 'u' ? 4 : 8;
      append_point(out, hexadecimal(body, at, count));
      at += count;
    } else if (letter == 'N') {
      bad_input("\\N{{...}} escapes are not supported");
    } else if (static_cast<unsigned char>(letter) < 0x80) {
      out += '\\';
      out += letter;
    } else {
      // jinja2 writes such a character as an escape before it reads escapes, so the backslash in front
      // unmakes that one.
      const CodePoint point = decode_utf8(body, at - 1);
      const auto code = static_cast<uint32_t>(point.value);
      out += code < 0x100     ? fmt::format("\\x{:02x}", code)
             : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                              : fmt::format("\\U{:08x}", code);
      at += static_cast<size_t>(point.length) - 1;
    }
  }
  return out;
}

}  // namespace martlet::text::jinja
