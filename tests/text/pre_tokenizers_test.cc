#include "text/pre_tokenizers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "text/random_text.h"

namespace martlet::text {
namespace {

using Pieces = std::vector<std::string>;

Pieces split(const std::string& json, const std::string& text) {
  const PreTokenizerChain chain = read_pre_tokenizers(Json::parse(json, "test"), "pre_tokenizer");
  Pieces out;
  if (!text.empty())
    chain.split({text, nullptr, 0, false}, [&](const Piece& piece) { out.emplace_back(piece.text); });
  return out;
}

std::string split_at_dash(const std::string& behaviour, bool invert) {
  return R"({"type":"Split","pattern":{"String":"-"},"behavior":")" + behaviour + R"(","invert":)" +
         (invert ? "true}" : "false}");
}

TEST(PreTokenizers, SplitHasFiveBehaviours) {
  const std::string text = "final--countdown-";
  EXPECT_EQ(split(split_at_dash("Removed", false), text), (Pieces{"final", "countdown"}));
  EXPECT_EQ(split(split_at_dash("Isolated", false), text), (Pieces{"final", "-", "-", "countdown", "-"}));
  EXPECT_EQ(split(split_at_dash("MergedWithPrevious", false), text), (Pieces{"final-", "-", "countdown-"}));
  EXPECT_EQ(split(split_at_dash("MergedWithNext", false), text), (Pieces{"final", "-", "-countdown", "-"}));
  EXPECT_EQ(split(split_at_dash("Contiguous", false), text), (Pieces{"final", "--", "countdown", "-"}));
  EXPECT_EQ(split(split_at_dash("Removed", true), text), (Pieces{"-", "-", "-"}));
}

TEST(PreTokenizers, CutWordsAsTheirNamesSay) {
  EXPECT_EQ(split(R"({"type":"Whitespace"})", "Hello, (world) x_1"),
            (Pieces{"Hello", ",", "(", "world", ")", "x_1"}));
  EXPECT_EQ(split(R"({"type":"WhitespaceSplit"})", " a,\u00A0b "), (Pieces{"a,", "b"}));
  EXPECT_EQ(split(R"({"type":"BertPreTokenizer"})", "don't stop"), (Pieces{"don", "'", "t", "stop"}));
  EXPECT_EQ(split(R"({"type":"Digits","individual_digits":true})", "a12b"), (Pieces{"a", "1", "2", "b"}));
  EXPECT_EQ(split(R"({"type":"Digits","individual_digits":false})", "a12b"), (Pieces{"a", "12", "b"}));
  EXPECT_EQ(split(R"({"type":"Punctuation"})", "a.b"), (Pieces{"a", ".", "b"}));
  EXPECT_EQ(split(R"({"type":"CharDelimiterSplit","delimiter":"|"})", "a||b"), (Pieces{"a", "b"}));
  EXPECT_EQ(split(R"({"type":"FixedLength","length":2})", "aébcd"), (Pieces{"aé", "bc", "d"}));
  EXPECT_EQ(split(R"({"type":"UnicodeScripts"})", "どこで 食べる.abc"),
            (Pieces{"どこで 食べる", ".", "abc"}));
  EXPECT_EQ(split(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"always"})", "Hey  you"),
            (Pieces{"▁Hey", "▁", "▁you"}));
  EXPECT_EQ(split(R"({"type":"ByteLevel","add_prefix_space":true,"use_regex":true})", "Hi you"),
            (Pieces{" Hi", " you"}));
  EXPECT_EQ(
      split(
          R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel","add_prefix_space":false},{"type":"Split","pattern":{"String":"Ġ"},"behavior":"Isolated","invert":false}]})",
          "a b"),
      (Pieces{"a", "Ġ", "b"}));
  EXPECT_EQ(split("null", "as it is"), (Pieces{"as it is"}));
}

TEST(PreTokenizers, PiecesOfATextJoinToTheText) {
  // Whatever isolates loses nothing, and alignment says so.
  Dice dice(1);
  const std::string isolating[] = {
      R"({"type":"Digits","individual_digits":true})", R"({"type":"Punctuation"})",
      R"({"type":"Split","pattern":{"Regex":"\\s+|\\p{L}"},"behavior":"Isolated","invert":false})",
      R"({"type":"Split","pattern":{"Regex":"\\p{M}"},"behavior":"MergedWithNext","invert":true})"};
  for (const std::string& json : isolating) {
    const PreTokenizerChain chain = read_pre_tokenizers(Json::parse(json, "test"), "pre_tokenizer");
    for (int round = 0; round < 500; ++round) {
      const std::string text = random_text(dice);
      if (text.empty()) continue;
      std::string joined;
      chain.split({text, nullptr, 7, false}, [&](const Piece& piece) {
        EXPECT_EQ(piece.base, joined.size() + 7);
        EXPECT_FALSE(piece.text.empty());
        joined += piece.text;
      });
      EXPECT_EQ(joined, text);
    }
  }
}

TEST(PreTokenizers, RefuseWhatTheyDoNotKnow) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"type":"Nonsense"})", "Nonsense"},
      {R"({"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated","invert":false})", "broken"},
      {R"({"type":"Split","pattern":"x","behavior":"Isolated","invert":false})", "pattern"},
      {R"({"type":"Split","pattern":{"String":"x"},"behavior":"Sideways","invert":false})", "Sideways"},
      {R"({"type":"Metaspace","replacement":"ab"})", "replacement"},
      {R"({"type":"Metaspace","replacement":"_","prepend_scheme":"perhaps"})", "perhaps"},
      {R"({"type":"Metaspace","replacement":"_","add_prefix_space":false,"prepend_scheme":"always"})",
       "prepend_scheme"},
      {R"({"type":"FixedLength","length":0})", "length"},
      {R"({"type":"Sequence"})", "pretokenizers"},
      {R"(["Digits"])", "list"},
      {R"({"type":7})", "type"}};
  for (const auto& [json, word] : cases) {
    EXPECT_THAT(
        [&] { read_pre_tokenizers(Json::parse(json, "test"), "tokenizer.json \"pre_tokenizer\""); },
        testing::Throws<Error>(testing::AllOf(testing::Property(&Error::code, ErrorCode::kBadInput),
                                              testing::Property(&Error::what, testing::HasSubstr(word)))))
        << json;
  }
}

TEST(PreTokenizers, BoundSequences) {
  std::string nested = R"({"type":"Digits"})";
  for (int i = 0; i < 60; ++i) nested = R"({"type":"Sequence","pretokenizers":[)" + nested + "]}";
  EXPECT_THROW(read_pre_tokenizers(Json::parse(nested, "test"), "pre_tokenizer"), Error);
  // Every level doubles: a bomb of 2^12 parts in little text.
  std::string wide = R"({"type":"Digits"})";
  for (int i = 0; i < 12; ++i) wide = R"({"type":"Sequence","pretokenizers":[)" + wide + "," + wide + "]}";
  EXPECT_THROW(read_pre_tokenizers(Json::parse(wide, "test"), "pre_tokenizer"), Error);
}

}  // namespace
}  // namespace martlet::text
