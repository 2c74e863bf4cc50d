#include "text/template_unicode.h"

#include <algorithm>
#include <span>
#include <utf8proc.h>

#include "base/utf8.h"

namespace martlet::text::jinja {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Numeric_Type=Digit: superscripts, circled digits and the like, which Python counts as digits beside
// category Nd.
constexpr Range kDigits[] = {{0x00B2, 0x00B3},   {0x00B9, 0x00B9},   {0x1369, 0x1371},   {0x19DA, 0x19DA},
                             {0x2070, 0x2070},   {0x2074, 0x2079},   {0x2080, 0x2089},   {0x2460, 0x2468},
                             {0x2474, 0x247C},   {0x2488, 0x2490},   {0x24EA, 0x24EA},   {0x24F5, 0x24FD},
                             {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},   {0x278A, 0x2792},
                             {0x10A40, 0x10A43}, {0x10E60, 0x10E68}, {0x11052, 0x1105A}, {0x1F100, 0x1F10A}};

// Letters with a numeric value: the CJK numerals.
constexpr Range kIdeographicNumbers[] = {
    {0x3405, 0x3405},   {0x3483, 0x3483},   {0x382A, 0x382A},   {0x3B4D, 0x3B4D},   {0x4E00, 0x4E00},
    {0x4E03, 0x4E03},   {0x4E07, 0x4E07},   {0x4E09, 0x4E09},   {0x4E5D, 0x4E5D},   {0x4E8C, 0x4E8C},
    {0x4E94, 0x4E94},   {0x4E96, 0x4E96},   {0x4EBF, 0x4EC0},   {0x4EDF, 0x4EDF},   {0x4EE8, 0x4EE8},
    {0x4F0D, 0x4F0D},   {0x4F70, 0x4F70},   {0x5104, 0x5104},   {0x5146, 0x5146},   {0x5169, 0x5169},
    {0x516B, 0x516B},   {0x516D, 0x516D},   {0x5341, 0x5341},   {0x5343, 0x5345},   {0x534C, 0x534C},
    {0x53C1, 0x53C4},   {0x56DB, 0x56DB},   {0x58F1, 0x58F1},   {0x58F9, 0x58F9},   {0x5E7A, 0x5E7A},
    {0x5EFE, 0x5EFF},   {0x5F0C, 0x5F0E},   {0x5F10, 0x5F10},   {0x62FE, 0x62FE},   {0x634C, 0x634C},
    {0x67D2, 0x67D2},   {0x6F06, 0x6F06},   {0x7396, 0x7396},   {0x767E, 0x767E},   {0x8086, 0x8086},
    {0x842C, 0x842C},   {0x8CAE, 0x8CAE},   {0x8CB3, 0x8CB3},   {0x8D30, 0x8D30},   {0x9621, 0x9621},
    {0x9646, 0x9646},   {0x964C, 0x964C},   {0x9678, 0x9678},   {0x96F6, 0x96F6},   {0xF96B, 0xF96B},
    {0xF973, 0xF973},   {0xF978, 0xF978},   {0xF9B2, 0xF9B2},   {0xF9D1, 0xF9D1},   {0xF9D3, 0xF9D3},
    {0xF9FD, 0xF9FD},   {0x20001, 0x20001}, {0x20064, 0x20064}, {0x200E2, 0x200E2}, {0x20121, 0x20121},
    {0x2092A, 0x2092A}, {0x20983, 0x20983}, {0x2098C, 0x2098C}, {0x2099C, 0x2099C}, {0x20AEA, 0x20AEA},
    {0x20AFD, 0x20AFD}, {0x20B19, 0x20B19}, {0x22390, 0x22390}, {0x22998, 0x22998}, {0x23B1B, 0x23B1B},
    {0x2626D, 0x2626D}, {0x2F890, 0x2F890}};

// Other_Lowercase: lower case without being a lowercase letter.
constexpr Range kOtherLowercase[] = {
    {0x00AA, 0x00AA},   {0x00BA, 0x00BA},   {0x02B0, 0x02B8},   {0x02C0, 0x02C1},  {0x02E0, 0x02E4},
    {0x0345, 0x0345},   {0x037A, 0x037A},   {0x1D2C, 0x1D6A},   {0x1D78, 0x1D78},  {0x1D9B, 0x1DBF},
    {0x2071, 0x2071},   {0x207F, 0x207F},   {0x2090, 0x209C},   {0x2170, 0x217F},  {0x24D0, 0x24E9},
    {0x2C7C, 0x2C7D},   {0xA69C, 0xA69D},   {0xA770, 0xA770},   {0xA7F8, 0xA7F9},  {0xAB5C, 0xAB5F},
    {0x10780, 0x10780}, {0x10783, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA}};

// Other_Uppercase.
constexpr Range kOtherUppercase[] = {
    {0x2160, 0x216F}, {0x24B6, 0x24CF}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}};

// Letters whose upper or title case is several (Unicode's SpecialCasing.txt, unconditional part).
struct SpecialCase {
  char32_t from;
  char32_t upper[3];
  char32_t title[3];
};
constexpr SpecialCase kSpecialCases[] = {{0x00DF, {0x0053, 0x0053}, {0x0053, 0x0073}},
                                         {0x0149, {0x02BC, 0x004E}, {0x02BC, 0x004E}},
                                         {0x01F0, {0x004A, 0x030C}, {0x004A, 0x030C}},
                                         {0x0390, {0x0399, 0x0308, 0x0301}, {0x0399, 0x0308, 0x0301}},
                                         {0x03B0, {0x03A5, 0x0308, 0x0301}, {0x03A5, 0x0308, 0x0301}},
                                         {0x0587, {0x0535, 0x0552}, {0x0535, 0x0582}},
                                         {0x1E96, {0x0048, 0x0331}, {0x0048, 0x0331}},
                                         {0x1E97, {0x0054, 0x0308}, {0x0054, 0x0308}},
                                         {0x1E98, {0x0057, 0x030A}, {0x0057, 0x030A}},
                                         {0x1E99, {0x0059, 0x030A}, {0x0059, 0x030A}},
                                         {0x1E9A, {0x0041, 0x02BE}, {0x0041, 0x02BE}},
                                         {0x1F50, {0x03A5, 0x0313}, {0x03A5, 0x0313}},
                                         {0x1F52, {0x03A5, 0x0313, 0x0300}, {0x03A5, 0x0313, 0x0300}},
                                         {0x1F54, {0x03A5, 0x0313, 0x0301}, {0x03A5, 0x0313, 0x0301}},
                                         {0x1F56, {0x03A5, 0x0313, 0x0342}, {0x03A5, 0x0313, 0x0342}},
                                         {0x1F80, {0x1F08, 0x0399}, {0x1F88}},
                                         {0x1F81, {0x1F09, 0x0399}, {0x1F89}},
                                         {0x1F82, {0x1F0A, 0x0399}, {0x1F8A}},
                                         {0x1F83, {0x1F0B, 0x0399}, {0x1F8B}},
                                         {0x1F84, {0x1F0C, 0x0399}, {0x1F8C}},
                                         {0x1F85, {0x1F0D, 0x0399}, {0x1F8D}},
                                         {0x1F86, {0x1F0E, 0x0399}, {0x1F8E}},
                                         {0x1F87, {0x1F0F, 0x0399}, {0x1F8F}},
                                         {0x1F88, {0x1F08, 0x0399}, {0x1F88}},
                                         {0x1F89, {0x1F09, 0x0399}, {0x1F89}},
                                         {0x1F8A, {0x1F0A, 0x0399}, {0x1F8A}},
                                         {0x1F8B, {0x1F0B, 0x0399}, {0x1F8B}},
                                         {0x1F8C, {0x1F0C, 0x0399}, {0x1F8C}},
                                         {0x1F8D, {0x1F0D, 0x0399}, {0x1F8D}},
                                         {0x1F8E, {0x1F0E, 0x0399}, {0x1F8E}},
                                         {0x1F8F, {0x1F0F, 0x0399}, {0x1F8F}},
                                         {0x1F90, {0x1F28, 0x0399}, {0x1F98}},
                                         {0x1F91, {0x1F29, 0x0399}, {0x1F99}},
                                         {0x1F92, {0x1F2A, 0x0399}, {0x1F9A}},
                                         {0x1F93, {0x1F2B, 0x0399}, {0x1F9B}},
                                         {0x1F94, {0x1F2C, 0x0399}, {0x1F9C}},
                                         {0x1F95, {0x1F2D, 0x0399}, {0x1F9D}},
                                         {0x1F96, {0x1F2E, 0x0399}, {0x1F9E}},
                                         {0x1F97, {0x1F2F, 0x0399}, {0x1F9F}},
                                         {0x1F98, {0x1F28, 0x0399}, {0x1F98}},
                                         {0x1F99, {0x1F29, 0x0399}, {0x1F99}},
                                         {0x1F9A, {0x1F2A, 0x0399}, {0x1F9A}},
                                         {0x1F9B, {0x1F2B, 0x0399}, {0x1F9B}},
                                         {0x1F9C, {0x1F2C, 0x0399}, {0x1F9C}},
                                         {0x1F9D, {0x1F2D, 0x0399}, {0x1F9D}},
                                         {0x1F9E, {0x1F2E, 0x0399}, {0x1F9E}},
                                         {0x1F9F, {0x1F2F, 0x0399}, {0x1F9F}},
                                         {0x1FA0, {0x1F68, 0x0399}, {0x1FA8}},
                                         {0x1FA1, {0x1F69, 0x0399}, {0x1FA9}},
                                         {0x1FA2, {0x1F6A, 0x0399}, {0x1FAA}},
                                         {0x1FA3, {0x1F6B, 0x0399}, {0x1FAB}},
                                         {0x1FA4, {0x1F6C, 0x0399}, {0x1FAC}},
                                         {0x1FA5, {0x1F6D, 0x0399}, {0x1FAD}},
                                         {0x1FA6, {0x1F6E, 0x0399}, {0x1FAE}},
                                         {0x1FA7, {0x1F6F, 0x0399}, {0x1FAF}},
                                         {0x1FA8, {0x1F68, 0x0399}, {0x1FA8}},
                                         {0x1FA9, {0x1F69, 0x0399}, {0x1FA9}},
                                         {0x1FAA, {0x1F6A, 0x0399}, {0x1FAA}},
                                         {0x1FAB, {0x1F6B, 0x0399}, {0x1FAB}},
                                         {0x1FAC, {0x1F6C, 0x0399}, {0x1FAC}},
                                         {0x1FAD, {0x1F6D, 0x0399}, {0x1FAD}},
                                         {0x1FAE, {0x1F6E, 0x0399}, {0x1FAE}},
                                         {0x1FAF, {0x1F6F, 0x0399}, {0x1FAF}},
                                         {0x1FB2, {0x1FBA, 0x0399}, {0x1FBA, 0x0345}},
                                         {0x1FB3, {0x0391, 0x0399}, {0x1FBC}},
                                         {0x1FB4, {0x0386, 0x0399}, {0x0386, 0x0345}},
                                         {0x1FB6, {0x0391, 0x0342}, {0x0391, 0x0342}},
                                         {0x1FB7, {0x0391, 0x0342, 0x0399}, {0x0391, 0x0342, 0x0345}},
                                         {0x1FBC, {0x0391, 0x0399}, {0x1FBC}},
                                         {0x1FC2, {0x1FCA, 0x0399}, {0x1FCA, 0x0345}},
                                         {0x1FC3, {0x0397, 0x0399}, {0x1FCC}},
                                         {0x1FC4, {0x0389, 0x0399}, {0x0389, 0x0345}},
                                         {0x1FC6, {0x0397, 0x0342}, {0x0397, 0x0342}},
                                         {0x1FC7, {0x0397, 0x0342, 0x0399}, {0x0397, 0x0342, 0x0345}},
                                         {0x1FCC, {0x0397, 0x0399}, {0x1FCC}},
                                         {0x1FD2, {0x0399, 0x0308, 0x0300}, {0x0399, 0x0308, 0x0300}},
                                         {0x1FD3, {0x0399, 0x0308, 0x0301}, {0x0399, 0x0308, 0x0301}},
                                         {0x1FD6, {0x0399, 0x0342}, {0x0399, 0x0342}},
                                         {0x1FD7, {0x0399, 0x0308, 0x0342}, {0x0399, 0x0308, 0x0342}},
                                         {0x1FE2, {0x03A5, 0x0308, 0x0300}, {0x03A5, 0x0308, 0x0300}},
                                         {0x1FE3, {0x03A5, 0x0308, 0x0301}, {0x03A5, 0x0308, 0x0301}},
                                         {0x1FE4, {0x03A1, 0x0313}, {0x03A1, 0x0313}},
                                         {0x1FE6, {0x03A5, 0x0342}, {0x03A5, 0x0342}},
                                         {0x1FE7, {0x03A5, 0x0308, 0x0342}, {0x03A5, 0x0308, 0x0342}},
                                         {0x1FF2, {0x1FFA, 0x0399}, {0x1FFA, 0x0345}},
                                         {0x1FF3, {0x03A9, 0x0399}, {0x1FFC}},
                                         {0x1FF4, {0x038F, 0x0399}, {0x038F, 0x0345}},
                                         {0x1FF6, {0x03A9, 0x0342}, {0x03A9, 0x0342}},
                                         {0x1FF7, {0x03A9, 0x0342, 0x0399}, {0x03A9, 0x0342, 0x0345}},
                                         {0x1FFC, {0x03A9, 0x0399}, {0x1FFC}},
                                         {0xFB00, {0x0046, 0x0046}, {0x0046, 0x0066}},
                                         {0xFB01, {0x0046, 0x0049}, {0x0046, 0x0069}},
                                         {0xFB02, {0x0046, 0x004C}, {0x0046, 0x006C}},
                                         {0xFB03, {0x0046, 0x0046, 0x0049}, {0x0046, 0x0066, 0x0069}},
                                         {0xFB04, {0x0046, 0x0046, 0x004C}, {0x0046, 0x0066, 0x006C}},
                                         {0xFB05, {0x0053, 0x0054}, {0x0053, 0x0074}},
                                         {0xFB06, {0x0053, 0x0054}, {0x0053, 0x0074}},
                                         {0xFB13, {0x0544, 0x0546}, {0x0544, 0x0576}},
                                         {0xFB14, {0x0544, 0x0535}, {0x0544, 0x0565}},
                                         {0xFB15, {0x0544, 0x053B}, {0x0544, 0x056B}},
                                         {0xFB16, {0x054E, 0x0546}, {0x054E, 0x0576}},
                                         {0xFB17, {0x0544, 0x053D}, {0x0544, 0x056D}}};

bool within(std::span<const Range> ranges, char32_t c) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), c,
                                      [](char32_t x, const Range& r) { return x < r.first; });
  return after != ranges.begin() && c <= std::prev(after)->last;
}

const SpecialCase* special_case(char32_t c) {
  const auto* end = std::end(kSpecialCases);
  const auto* at = std::lower_bound(std::begin(kSpecialCases), end, c,
                                    [](const SpecialCase& s, char32_t x) { return s.from < x; });
  return at != end && at->from == c ? at : nullptr;
}

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

char32_t simple(char32_t c, utf8proc_int32_t (*map)(utf8proc_int32_t)) {
  return static_cast<char32_t>(map(static_cast<utf8proc_int32_t>(c)));
}

void append_all(std::string& out, const char32_t (&points)[3]) {
  for (const char32_t point : points) {
    if (point != 0) append_utf8(out, point);
  }
}

// Letters that take part in casing: what a capital sigma must follow, and not precede, to be written final.
bool is_cased(char32_t c) {
  return is_lower(c) || is_upper(c) || is_title(c);
}

// Word_Break classes and categories that the rule for the final sigma looks past.
bool is_case_ignorable(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return c == U'\'' || c == U'.' || c == U':' || c == 0xB7 || c == 0x2018 || c == 0x2019 || c == 0x2024 ||
             c == 0x2027;
  }
}

// U+03A3 at `at` ends a word: a cased letter before it and none after it, case-ignorable ones between.
bool is_final_sigma(std::u32string_view text, size_t at) {
  size_t before = at;
  while (before > 0 && is_case_ignorable(text[before - 1])) --before;
  if (before == 0 || !is_cased(text[before - 1])) return false;
  size_t after = at + 1;
  while (after < text.size() && is_case_ignorable(text[after])) ++after;
  return after == text.size() || !is_cased(text[after]);
}

void append_lower(std::string& out, std::u32string_view text, size_t at) {
  const char32_t c = text[at];
  if (c == 0x3A3) {
    append_utf8(out, is_final_sigma(text, at) ? 0x3C2 : 0x3C3);
  } else if (c == 0x130) {
    out += "i\xCC\x87";
  } else {
    append_utf8(out, simple(c, utf8proc_tolower));
  }
}

void append_upper(std::string& out, char32_t c) {
  if (const SpecialCase* special = special_case(c)) return append_all(out, special->upper);
  append_utf8(out, simple(c, utf8proc_toupper));
}

void append_title(std::string& out, char32_t c) {
  if (const SpecialCase* special = special_case(c)) return append_all(out, special->title);
  append_utf8(out, simple(c, utf8proc_totitle));
}

}  // namespace

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_line_break(char32_t c) {
  return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool is_printable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_alpha(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LL || kind == UTF8PROC_CATEGORY_LT ||
         kind == UTF8PROC_CATEGORY_LM || kind == UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_ND;
}
bool is_digit(char32_t c) {
  return is_decimal(c) || within(kDigits, c);
}

bool is_numeric(char32_t c) {
  const utf8proc_category_t kind = category(c);
  return kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL || kind == UTF8PROC_CATEGORY_NO ||
         within(kIdeographicNumbers, c);
}

bool is_lower(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LL || within(kOtherLowercase, c);
}
bool is_upper(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LU || within(kOtherUppercase, c);
}
bool is_title(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LT;
}

bool is_word(char32_t c) {
  return c == U'_' || is_alpha(c) || is_numeric(c);
}

bool is_identifier_part(char32_t c) {
  if (c < 0x80) return is_word(c);
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return is_alpha(c);
  }
}

bool is_identifier_start(char32_t c) {
  return c == U'_' || is_alpha(c) || category(c) == UTF8PROC_CATEGORY_NL;
}

bool is_lower_text(std::string_view text) {
  bool cased = false;
  for (const char32_t c : code_points(text)) {
    if (is_upper(c) || is_title(c)) return false;
    cased = cased || is_lower(c);
  }
  return cased;
}

bool is_upper_text(std::string_view text) {
  bool cased = false;
  for (const char32_t c : code_points(text)) {
    if (is_lower(c) || is_title(c)) return false;
    cased = cased || is_upper(c);
  }
  return cased;
}

int64_t count_code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

size_t code_point_offset(std::string_view text, int64_t index) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80 && index-- == 0) return at;
  }
  return at;
}

std::u32string code_points(std::string_view text) {
  std::u32string points;
  points.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    points.push_back(point.value);
    at += static_cast<size_t>(point.length);
  }
  return points;
}

std::string upper_case(std::string_view text) {
  std::string out;
  for (const char32_t c : code_points(text)) append_upper(out, c);
  return out;
}

std::string lower_case(std::string_view text) {
  std::string out;
  const std::u32string points = code_points(text);
  for (size_t at = 0; at < points.size(); ++at) append_lower(out, points, at);
  return out;
}

std::string title_case(std::string_view text) {
  std::string out;
  const std::u32string points = code_points(text);
  bool inside = false;
  for (size_t at = 0; at < points.size(); ++at) {
    if (inside) {
      append_lower(out, points, at);
    } else {
      append_title(out, points[at]);
    }
    inside = is_cased(points[at]);
  }
  return out;
}

std::string capitalized(std::string_view text) {
  std::string out;
  const std::u32string points = code_points(text);
  for (size_t at = 0; at < points.size(); ++at) {
    if (at == 0) {
      append_title(out, points[at]);
    } else {
      append_lower(out, points, at);
    }
  }
  return out;
}

std::string swapped_case(std::string_view text) {
  std::string out;
  const std::u32string points = code_points(text);
  for (size_t at = 0; at < points.size(); ++at) {
    if (is_upper(points[at])) {
      append_lower(out, points, at);
    } else if (is_lower(points[at])) {
      append_upper(out, points[at]);
    } else {
      append_utf8(out, points[at]);
    }
  }
  return out;
}

std::string case_folded(std::string_view text) {
  std::string out;
  for (const char32_t c : code_points(text)) {
    utf8proc_int32_t folded[8];
    const utf8proc_ssize_t count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), folded, 8, UTF8PROC_CASEFOLD, nullptr);
    if (count < 1 || count > 8) {
      append_utf8(out, c);
      continue;
    }
    for (const utf8proc_int32_t point : std::span(folded, static_cast<size_t>(count)))
      append_utf8(out, static_cast<char32_t>(point));
  }
  return out;
}

}  // namespace martlet::text::jinja
