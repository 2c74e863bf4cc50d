#include "base/utf8.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace martlet {
namespace {

const std::string kMark = "\xEF\xBF\xBD";

TEST(Utf8, EveryScalarValueRoundTrips) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, c);
    const CodePoint back = decode_utf8(text, 0);
    ASSERT_TRUE(back.valid && back.value == c && back.length == static_cast<int>(text.size()))
        << static_cast<uint32_t>(c);
  }
}

TEST(Utf8, SurrogatesAndValuesPastTheEndAreWrittenAsTheReplacement) {
  for (const char32_t c : {0xD800, 0xDFFF, 0x110000, 0x7FFFFFFF}) {
    std::string text;
    append_utf8(text, c);
    EXPECT_EQ(text, kMark);
  }
}

TEST(Utf8, IllFormedBytesAreOneInvalidByteEach) {
  for (const std::string text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE4\xB8", "\xF0\x9F\x98"}) {
    const CodePoint got = decode_utf8(text, 0);
    EXPECT_FALSE(got.valid) << text;
    EXPECT_EQ(got.value, char32_t{0xFFFD});
    EXPECT_EQ(got.length, 1);
    EXPECT_FALSE(is_valid_utf8(text));
    EXPECT_FALSE(is_valid_utf8("0123456789" + text + "0123456789"));
  }
}

// Tables 3-8 to 3-11 of the Unicode Standard 15.0, section 3.9: the examples of U+FFFD substitution.
TEST(Utf8, ReplacesMaximalSubpartsAsTheStandardShows) {
  const auto marks = [](int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += kMark;
    return out;
  };
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), marks(8) + "A");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), marks(8) + "A");
  EXPECT_EQ(replace_invalid_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), marks(5) + "A" + marks(2) + "B");
  EXPECT_EQ(replace_invalid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), marks(4) + "A");
}

TEST(Utf8, ReplacedTextIsValidAndValidTextIsUnchanged) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    const Philox random(seed);
    std::string bytes;
    const uint64_t length = random.below(0, 64);
    // Half of the bytes from the upper half, where the structure is.
    for (uint64_t i = 1; i <= length; ++i)
      bytes += static_cast<char>(random.below(2 * i, 2) * 128 + random.below(2 * i + 1, 128));
    const std::string mended = replace_invalid_utf8(bytes);
    EXPECT_TRUE(is_valid_utf8(mended));
    EXPECT_EQ(replace_invalid_utf8(mended), mended);
    EXPECT_EQ(is_valid_utf8(bytes), mended == bytes);
  }
}

TEST(Utf8, AnIncompleteCharacterAtTheEndIsHeldBack) {
  const std::string text = "aé中😀";
  // Boundaries after a, é, 中, 😀.
  const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
  for (size_t length = 0; length <= text.size(); ++length) {
    EXPECT_EQ(complete_utf8_prefix(std::string_view(text).substr(0, length)), expected[length]) << length;
  }
}

TEST(Utf8, WhatCanNeverBecomeACharacterIsNotHeldBack) {
  for (const std::string text :
       {"a\x80", "a\xFF", "a\xC0", "a\xED\xA0", "a\xF4\x90", "a\x80\x80\x80\x80", "\xE4\xB8\x80\x80"}) {
    EXPECT_EQ(complete_utf8_prefix(text), text.size());
  }
}

}  // namespace
}  // namespace martlet
