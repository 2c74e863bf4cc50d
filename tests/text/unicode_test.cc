#include "text/unicode.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <array>
#include <gtest/gtest.h>
#include <pcre2.h>

#include "base/utf8.h"
#include "text/regex.h"

namespace martlet::text {
namespace {

std::string utf8(char32_t c) {
  std::string out;
  append_utf8(out, c);
  return out;
}

bool is_surrogate(char32_t c) {
  return c >= 0xD800 && c < 0xE000;
}

TEST(Unicode, CategoriesAgreeWithPcreWhereItKnowsTheCodePoint) {
  constexpr std::array kNames = {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd",
                                 "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
                                 "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf"};
  const CodePointTable& table = code_points();
  for (size_t i = 0; i < kNames.size(); ++i) {
    const std::string expression = std::string("\\p{") + kNames[i] + "}";
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                                     PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
    ASSERT_NE(code, nullptr);
    pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
    for (char32_t c = 0; c < 0x32400; ++c) {
      if (is_surrogate(c) || table.has(c, kNewerThanPcre)) continue;
      const std::string text = utf8(c);
      const bool matches =
          pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, data, nullptr) > 0;
      ASSERT_EQ(matches, table.category(c) == static_cast<Category>(i + 1))
          << kNames[i] << " U+" << std::hex << uint32_t{c};
    }
    pcre2_match_data_free(data);
    pcre2_code_free(code);
  }
}

TEST(Unicode, PropertiesInExpressionsFollowTheTableForEveryCodePoint) {
  struct Case {
    const char* expression;
    unsigned trait;
  };
  std::string all;
  for (char32_t c = 0; c < 0x32400; ++c) {
    if (!is_surrogate(c)) append_utf8(all, c);
  }
  const CodePointTable& table = code_points();
  for (const Case& one :
       {Case{R"(\p{L})", kLetter}, Case{R"(\p{N})", kNumber}, Case{R"(\p{M})", kMark}, Case{R"(\s)", kSpace},
        Case{R"([\p{Lu}\p{Lt}])", kUpperOrTitle}, Case{R"(\p{Ll})", kLower}}) {
    size_t at = 0;
    const auto check_until = [&](size_t end, bool expected) {
      while (at < end) {
        const Utf8Character character = character_at(all.data() + at);
        ASSERT_EQ(table.has(character.value, one.trait), expected)
            << one.expression << " U+" << std::hex << uint32_t{character.value};
        at += character.length;
      }
    };
    Pattern::regex(one.expression, "test").for_each(all, [&](size_t begin, size_t end) {
      check_until(begin, false);
      check_until(end, true);
    });
    check_until(all.size(), false);
  }
}

TEST(Unicode, LowerCaseOfOneCodePoint) {
  EXPECT_EQ(lower_case('A').first, U'a');
  EXPECT_EQ(lower_case(0x130).first, U'i');
  EXPECT_EQ(lower_case(0x130).second, char32_t{0x307});
  EXPECT_EQ(lower_case(0x3A3).first, char32_t{0x3C3});  // no final sigma
  EXPECT_EQ(lower_case(0x10D50).first, char32_t{0x10D70});
  EXPECT_EQ(lower_case(0xA7CB).first, char32_t{0x264});
  EXPECT_EQ(lower_case(0xDF).first, char32_t{0xDF});
}

TEST(Unicode, WalksTextBackwards) {
  const std::string text = "a\u00E9\u4E2D\U0001F600";
  EXPECT_EQ(character_length_before(text, text.size()), 4u);
  EXPECT_EQ(character_length_before(text, 6), 3u);
  EXPECT_EQ(character_length_before(text, 3), 2u);
  EXPECT_EQ(character_length_before(text, 1), 1u);
  EXPECT_EQ(count_characters(text), 4);
  EXPECT_EQ(ascii_prefix("0123456789\u00E9"), 10u);
  EXPECT_EQ(ascii_prefix("01234567"), 8u);
  EXPECT_EQ(ascii_prefix(""), 0u);
}

}  // namespace
}  // namespace martlet::text
