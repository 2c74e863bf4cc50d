#pragma once

// Characters as Python's str sees them: classes, case mapping with its special cases, positions in code
// points. Text is valid UTF-8 throughout.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace martlet::text::jinja {

bool is_space(char32_t c);       ///< str.isspace, and \s of Python's regular expressions
bool is_line_break(char32_t c);  ///< where str.splitlines breaks
bool is_printable(char32_t c);   ///< what repr shows as it is
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_lower(char32_t c);
bool is_upper(char32_t c);
bool is_title(char32_t c);
bool is_word(char32_t c);  ///< \w of Python's regular expressions
bool is_identifier_start(char32_t c);
bool is_identifier_part(char32_t c);

/// str.islower and str.isupper: a cased letter, and none of the other case.
bool is_lower_text(std::string_view text);
bool is_upper_text(std::string_view text);

int64_t count_code_points(std::string_view text);
/// The byte where code point `index` begins; the size when there are fewer.
size_t code_point_offset(std::string_view text, int64_t index);
std::u32string code_points(std::string_view text);

std::string upper_case(std::string_view text);
std::string lower_case(std::string_view text);
std::string title_case(std::string_view text);
std::string capitalized(std::string_view text);
std::string swapped_case(std::string_view text);
std::string case_folded(std::string_view text);

}  // namespace martlet::text::jinja
