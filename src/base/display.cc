#include "base/display.h"

#include <utf8proc.h>

#include "base/utf8.h"

namespace martlet {

std::string one_line(std::string_view text) {
  std::string line;
  const std::string valid = replace_invalid_utf8(text);
  for (size_t i = 0; i < valid.size();) {
    const CodePoint c = decode_utf8(valid, i);
    i += static_cast<size_t>(c.length);
    const bool control = c.value < 0x20 || (c.value >= 0x7F && c.value < 0xA0) || c.value >= 0xFFFE ||
                         c.value == 0x2028 || c.value == 0x2029 || (c.value >= 0x202A && c.value <= 0x202E);
    if (c.value == '\t' || c.value == '\n')
      line += ' ';
    else
      append_utf8(line, control && c.value < 0x10000 ? U'\uFFFD' : c.value);
  }
  return line;
}

int text_columns(std::string_view text) {
  int columns = 0;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    i += static_cast<size_t>(c.length);
    columns += utf8proc_charwidth(static_cast<utf8proc_int32_t>(c.value));
  }
  return columns;
}

std::string fitted(std::string_view text, int columns, bool unicode) {
  if (text_columns(text) <= columns) return std::string(text);
  const std::string_view ending = unicode ? "…" : "...";
  const int room = columns - text_columns(ending);
  if (room < 0) return "";
  std::string out;
  int taken = 0;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    const int wide = utf8proc_charwidth(static_cast<utf8proc_int32_t>(c.value));
    if (taken + wide > room) break;
    taken += wide;
    out += text.substr(i, static_cast<size_t>(c.length));
    i += static_cast<size_t>(c.length);
  }
  return out + std::string(ending);
}

}  // namespace martlet
