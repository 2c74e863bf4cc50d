#pragma once

// Python's format specifications, shared by `%` and `format`.

#include <cstdint>
#include <string>
#include <string_view>

#include "text/template_value.h"

namespace martlet::text::jinja {

/// One field's layout. Widths and precisions count code points.
struct FormatSpec {
  char32_t fill = U' ';
  char align = 0;   ///< one of < > = ^, or 0 for the type's own
  char sign = '-';  ///< one of - + and space
  bool alternate = false;
  bool zero = false;
  int64_t width = 0;
  int64_t precision = -1;
  char grouping = 0;  ///< , or _
  char type = 0;
};

/// `text` in its field; `shown` code points of it are to be kept.
std::string pad_text(Runtime& runtime, std::string_view text, const FormatSpec& spec, char align);
/// A number's sign and prefix, then zeros or fill, then its digits.
std::string pad_number(Runtime& runtime, std::string_view prefix, std::string_view digits,
                       const FormatSpec& spec);
std::string format_integer_spec(Runtime& runtime, int64_t value, const FormatSpec& spec);
std::string format_float_spec(Runtime& runtime, double value, const FormatSpec& spec);
/// format(value, spec).
std::string format_value(Runtime& runtime, const Value& value, std::string_view spec);

}  // namespace martlet::text::jinja
