#include "text/normal_form.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <utf8proc.h>

#include "text/random_text.h"

namespace martlet::text {
namespace {

std::string normalised(NormalForm form, std::string_view text) {
  AlignedText aligned(text, 0, true);
  normalise(form, aligned);
  EXPECT_EQ(aligned.origin.size(), aligned.text.size());
  return aligned.text;
}

std::string by_utf8proc(NormalForm form, const std::string& text) {
  unsigned options = UTF8PROC_STABLE;
  options |= form == NormalForm::kNfc || form == NormalForm::kNfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::kNfkc || form == NormalForm::kNfkd) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* out = nullptr;
  const auto length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &out, static_cast<utf8proc_option_t>(options));
  std::string result(reinterpret_cast<const char*>(out), static_cast<size_t>(length));
  std::free(out);
  return result;
}

constexpr NormalForm kForms[] = {NormalForm::kNfc, NormalForm::kNfd, NormalForm::kNfkc, NormalForm::kNfkd};

TEST(NormalForm, AgreesWithUtf8procOnOldCharacters) {
  Dice dice(1);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) {
      const char32_t c = random_code_point(dice);
      // Later versions than Unicode 9 gave some of these ranges mappings and marks.
      if (c < 0x1C80 || (c >= 0x1E00 && c < 0xE000) || (c >= 0xFB00 && c < 0x10000)) append_utf8(text, c);
    }
    for (const NormalForm form : kForms) {
      EXPECT_EQ(normalised(form, text), by_utf8proc(form, text)) << static_cast<int>(form) << " " << text;
    }
  }
}

TEST(NormalForm, DoesNothingTwice) {
  Dice dice(2);
  for (int round = 0; round < 1000; ++round) {
    const std::string text = random_text(dice, 20);
    for (const NormalForm form : kForms) {
      const std::string once = normalised(form, text);
      EXPECT_EQ(normalised(form, once), once);
      if (!may_change(form, text)) {
        EXPECT_EQ(once, text);
      }
    }
  }
}

TEST(NormalForm, SaysThatAsciiAndComposedTextDoNotChange) {
  EXPECT_FALSE(may_change(NormalForm::kNfkc, "plain text, 123\n"));
  EXPECT_FALSE(may_change(NormalForm::kNfc, "été 中文 가 Ωmega"));
  EXPECT_TRUE(may_change(NormalForm::kNfc, "e\u0301"));
  EXPECT_TRUE(may_change(NormalForm::kNfd, "é"));
  EXPECT_TRUE(may_change(NormalForm::kNfkc, "ﬁ"));
}

TEST(NormalForm, AlignsComposedCharactersWithTheFirstOfTheirParts) {
  AlignedText text("xe\u0301y", 0, true);
  normalise(NormalForm::kNfc, text);
  ASSERT_EQ(text.text, "xéy");
  EXPECT_EQ(text.origin[1], (Span{1, 2}));
  EXPECT_EQ(text.origin[3], (Span{4, 5}));
}

}  // namespace
}  // namespace martlet::text
