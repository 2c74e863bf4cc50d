#pragma once

// What the parts of a tokenizer ask about a code point.
//
// Categories are those of Unicode 16, which the regular expressions of published tokenizers were defined with
// in practice. utf8proc knows Unicode 15, so the rest is added from a small table; some questions must be
// answered as an older table would (Bert's idea of punctuation and accents), because vocabularies were built
// with it. The exceptions stand in unicode_exceptions.cc, each with its reason.

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace martlet::text {

/// General categories, in utf8proc's order.
enum class Category : uint8_t {
  kCn,
  kLu,
  kLl,
  kLt,
  kLm,
  kLo,
  kMn,
  kMc,
  kMe,
  kNd,
  kNl,
  kNo,
  kPc,
  kPd,
  kPs,
  kPe,
  kPi,
  kPf,
  kPo,
  kSm,
  kSc,
  kSk,
  kSo,
  kZs,
  kZl,
  kZp,
  kCc,
  kCf,
  kCs,
  kCo
};

/// Yes-or-no properties, to be combined by or.
enum Trait : uint16_t {
  kLetter = 1 << 0,
  kNumber = 1 << 1,
  kMark = 1 << 2,
  kSpace = 1 << 3,            ///< White_Space: what \s matches
  kUpperOrTitle = 1 << 4,     ///< Lu, Lt
  kLower = 1 << 5,            ///< Ll
  kWord = 1 << 6,             ///< \w where the Whitespace part and `single_word` ask
  kNumeric = 1 << 7,          ///< what the Digits part splits at
  kBertPunctuation = 1 << 8,  ///< what BertPreTokenizer and Punctuation split at
  kBertControl = 1 << 9,      ///< what BertNormalizer's clean_text removes
  kBertAccent = 1 << 10,      ///< what BertNormalizer's strip_accents removes
  kCombiningMark = 1 << 11,   ///< what StripAccents removes
  kNewerThanPcre = 1 << 12    ///< assigned after the Unicode version of PCRE2
};

class CodePointTable {
 public:
  uint16_t traits(char32_t code_point) const { return traits_[slot(code_point)]; }
  bool has(char32_t code_point, unsigned wanted) const { return (traits(code_point) & wanted) != 0; }
  Category category(char32_t code_point) const { return category_[slot(code_point)]; }

 private:
  friend const CodePointTable& code_points();
  CodePointTable();
  size_t slot(char32_t code_point) const {
    const char32_t c = code_point > 0x10FFFF ? 0x10FFFF : code_point;
    return size_t{page_[c >> 8]} * 256 + (c & 0xFF);
  }

  std::array<uint16_t, 0x1100> page_;  // most pages are alike and share one
  std::vector<uint16_t> traits_;
  std::vector<Category> category_;
};

/// The table, built once (about a millisecond) and never changed.
const CodePointTable& code_points();

/// One or two code points: only U+0130 becomes two.
struct LowerCase {
  char32_t first;
  char32_t second;  ///< 0 when there is none
};
/// The full lower-case mapping of one code point, whatever stands around it (no final sigma).
LowerCase lower_case(char32_t code_point);

/// A code point of a text that is known to be valid UTF-8.
struct Utf8Character {
  char32_t value;
  uint32_t length;
};

/// Decodes the character at `at`; the text must be valid UTF-8 and `at` a character boundary before its end.
inline Utf8Character character_at(const char* at) {
  const auto byte = [at](int i) { return char32_t{static_cast<unsigned char>(at[i])}; };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (lead < 0xF0) return {(lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
}

/// Bytes of the character that begins with `lead`, in valid UTF-8.
inline uint32_t character_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

inline bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

/// Bytes of the character that ends before `end`, in valid UTF-8; `end` > 0.
inline uint32_t character_length_before(std::string_view text, size_t end) {
  uint32_t length = 1;
  while (length < 4 && length < end && is_continuation(text[end - length])) ++length;
  return length;
}

/// Code points in valid UTF-8.
int64_t count_characters(std::string_view text);
/// The length of the leading part that is ASCII.
size_t ascii_prefix(std::string_view text);

}  // namespace martlet::text
