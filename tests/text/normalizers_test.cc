#include "text/normalizers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "text/byte_alphabet.h"
#include "text/random_text.h"
#include "text/utf8_repair.h"

namespace martlet::text {
namespace {

AlignedText normalised(const std::string& json, std::string_view text) {
  AlignedText aligned(text, 0, true);
  if (const auto normalizer = read_normalizer(Json::parse(json, "test"), "normalizer"))
    normalizer->apply(aligned);
  return aligned;
}

std::string kind(const std::string& type) {
  return R"({"type":")" + type + R"("})";
}

TEST(Normalizers, DoWhatTheirNamesSay) {
  EXPECT_EQ(normalised(kind("NFC"), "e\u0301").text, "é");
  EXPECT_EQ(normalised(kind("Lowercase"), "ÀİΣ").text, "ài\u0307σ");
  EXPECT_EQ(normalised(kind("StripAccents"), "e\u0301a").text, "ea");
  EXPECT_EQ(normalised(R"({"type":"Strip","strip_left":true,"strip_right":false})", "\u00A0 a ").text, "a ");
  EXPECT_EQ(normalised(R"({"type":"Prepend","prepend":"▁"})", "a").text, "▁a");
  EXPECT_EQ(normalised(R"({"type":"Prepend","prepend":"▁"})", "").text, "");
  EXPECT_EQ(normalised(R"({"type":"Replace","pattern":{"String":" "},"content":"▁"})", "a b ").text, "a▁b▁");
  EXPECT_EQ(normalised(R"({"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "})", "a   b c").text,
            "a b c");
  EXPECT_EQ(normalised(kind("Nmt"), "a\u200B\tb\u0001c").text, "a  bc");
  EXPECT_EQ(normalised(kind("ByteLevel"), "a é").text, "aĠÃ©");
  EXPECT_EQ(normalised(kind("BertNormalizer"), std::string_view("Hé\tl\0中x", 10)).text, "he l 中 x");
  EXPECT_EQ(
      normalised(
          R"({"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"},{"type":"Lowercase"}]})",
          "ÉÀ")
          .text,
      "ea");
  EXPECT_EQ(normalised("null", "as it is").text, "as it is");
}

TEST(Normalizers, KeepTheAlignmentWithTheOriginal) {
  const AlignedText prepended = normalised(R"({"type":"Prepend","prepend":"xy"})", "éa");
  ASSERT_EQ(prepended.text, "xyéa");
  EXPECT_EQ(prepended.origin, (std::vector<Span>{{0, 2}, {0, 2}, {0, 2}, {0, 2}, {2, 3}}));
  const AlignedText replaced =
      normalised(R"({"type":"Replace","pattern":{"String":"bc"},"content":"-+"})", "abcd");
  ASSERT_EQ(replaced.text, "a-+d");
  EXPECT_EQ(replaced.origin, (std::vector<Span>{{0, 1}, {2, 3}, {2, 3}, {3, 4}}));
  const AlignedText stripped = normalised(kind("Strip"), "  a ");
  EXPECT_EQ(stripped.origin, (std::vector<Span>{{2, 3}}));
}

TEST(Normalizers, TrackedOrNotGiveTheSameText) {
  Dice dice(1);
  const std::string kinds[] = {kind("NFC"),
                               kind("NFKD"),
                               kind("Lowercase"),
                               kind("StripAccents"),
                               kind("Nmt"),
                               kind("ByteLevel"),
                               kind("BertNormalizer"),
                               R"({"type":"Strip"})",
                               R"({"type":"Replace","pattern":{"Regex":"\\s*"},"content":"_"})"};
  for (const std::string& json : kinds) {
    const auto normalizer = read_normalizer(Json::parse(json, "test"), "normalizer");
    for (int round = 0; round < 500; ++round) {
      const std::string text = random_text(dice);
      AlignedText tracked(text, 0, true), plain(text, 0, false);
      normalizer->apply(tracked);
      normalizer->apply(plain);
      ASSERT_EQ(tracked.text, plain.text);
      ASSERT_TRUE(is_valid_utf8(plain.text));
      ASSERT_EQ(tracked.origin.size(), tracked.text.size());
      for (const Span& span : tracked.origin) ASSERT_LE(span.begin, span.end);
      for (const Span& span : tracked.origin) ASSERT_LE(span.end, text.size());
      if (!normalizer->may_change(text)) {
        ASSERT_EQ(plain.text, text);
      }
    }
  }
}

TEST(Normalizers, RefuseWhatTheyDoNotKnow) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"type":"Nonsense"})", "Nonsense"},
      {R"({"type":"Precompiled","precompiled_charsmap":"!!"})", "base64"},
      {R"({"type":"Precompiled","precompiled_charsmap":"AAAA"})", "bytes"},
      {R"({"type":"Precompiled","precompiled_charsmap":"/////w=="})", "trie"},
      {R"({"type":"Replace","pattern":{"Regex":"["},"content":""})", "regular expression"},
      {R"({"type":"Prepend"})", "prepend"}};
  for (const auto& [json, word] : cases) {
    EXPECT_THAT(
        [&] { read_normalizer(Json::parse(json, "test"), "normalizer"); },
        testing::Throws<Error>(testing::AllOf(testing::Property(&Error::code, ErrorCode::kBadInput),
                                              testing::Property(&Error::what, testing::HasSubstr(word)))))
        << json;
  }
}

TEST(ByteAlphabet, HasACharacterForEveryByteAndBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  const std::string token = token_of_bytes(all);
  EXPECT_EQ(count_characters(token), 256);
  EXPECT_EQ(bytes_of_token(token), all);
  EXPECT_EQ(token_of_bytes(" A\n"), "ĠAĊ");
  EXPECT_EQ(bytes_of_token("中"), std::nullopt);
}

TEST(Utf8Repair, AgreesWithTheBaseRoomAndKnowsTheOriginal) {
  Dice dice(2);
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = random_text(dice, 3) + random_bytes(dice, 6) + random_text(dice, 2);
    if (bytes.size() > 3) bytes.erase(dice.below(bytes.size()), 1);
    const AlignedText repaired = repair_utf8(bytes, true);
    ASSERT_EQ(repaired.text, replace_invalid_utf8(bytes));
    ASSERT_EQ(repaired.origin.size(), repaired.text.size());
    uint32_t end = 0;
    for (const Span& span : repaired.origin) {
      ASSERT_TRUE(span.begin == end || span.end == end);
      end = span.end;
    }
    ASSERT_EQ(end, bytes.size());
  }
}

}  // namespace
}  // namespace martlet::text
