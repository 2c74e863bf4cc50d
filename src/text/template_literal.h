#pragma once

// Numbers and strings as templates write them.

#include <cstdint>
#include <string>
#include <string_view>

namespace martlet::text::jinja {

struct NumberLiteral {
  size_t length = 0;  ///< bytes taken
  bool is_float = false;
  bool too_large = false;
  int64_t integer = 0;
  double real = 0.0;
};

/// The number at the beginning of `text`, which starts with a digit: 12, 1_000, 0x1f, 0o17, 0b101, 1.5, 2e-3.
NumberLiteral read_number(std::string_view text, bool float_allowed);

/// A string's body with its escapes resolved as Python resolves them. Throws BadInput for a broken escape.
std::string unescape(std::string_view body);

}  // namespace martlet::text::jinja
