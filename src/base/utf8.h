#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace martlet {

/// One decoded code point. `length` is the bytes taken; an invalid byte gives U+FFFD, `valid == false` and
/// length 1.
struct CodePoint {
  char32_t value;
  int length;
  bool valid;
};

/// Decodes at `offset` (< text.size()). Overlong forms, surrogates and values past U+10FFFF are invalid.
CodePoint decode_utf8(std::string_view text, size_t offset);
void append_utf8(std::string& out, char32_t code_point);
bool is_valid_utf8(std::string_view text);
/// Replaces every maximal invalid part by one U+FFFD, as the Unicode Standard (3.9, "substitution of maximal
/// subparts") recommends.
std::string replace_invalid_utf8(std::string_view text);
/// The length of the longest prefix that ends at a character boundary, holding back an incomplete character
/// at the end.
size_t complete_utf8_prefix(std::string_view text);

}  // namespace martlet
