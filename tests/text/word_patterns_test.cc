#include "text/word_patterns.h"

#include <gtest/gtest.h>
#include <vector>

#include "text/random_text.h"
#include "text/regex.h"

namespace martlet::text {
namespace {

std::vector<std::string> words(WordPattern pattern, const std::string& text) {
  std::vector<std::string> out;
  for_each_word(pattern, text, [&](std::string_view word) { out.emplace_back(word); });
  return out;
}

std::vector<std::string> matches(const Pattern& pattern, const std::string& text) {
  std::vector<std::string> out;
  size_t done = 0;
  pattern.for_each(text, [&](size_t begin, size_t end) {
    EXPECT_EQ(begin, done) << "the expression left something out in " << text;
    out.push_back(text.substr(begin, end - begin));
    done = end;
  });
  EXPECT_EQ(done, text.size());
  return out;
}

class WordPatterns : public testing::TestWithParam<WordPattern> {};

TEST_P(WordPatterns, GiveTheMatchesOfTheirExpression) {
  const Pattern pattern = Pattern::regex(expression_of(GetParam()), "test");
  Dice dice(static_cast<uint64_t>(GetParam()) + 10);
  for (int round = 0; round < 20000; ++round) {
    const std::string text = random_text(dice);
    ASSERT_EQ(words(GetParam(), text), matches(pattern, text)) << text;
  }
}

TEST_P(WordPatterns, GiveTheMatchesOnDenseText) {
  // Few characters, every neighbourhood of them.
  const std::vector<std::string> letters = {"a", "B",      "'",      "s",  "1",      " ", "\n", "\r",    "/",
                                            ".", "\u0301", "\u01C5", "中", "\u017F", "L", "e",  "\u3000"};
  const Pattern pattern = Pattern::regex(expression_of(GetParam()), "test");
  Dice dice(static_cast<uint64_t>(GetParam()) + 20);
  for (int round = 0; round < 30000; ++round) {
    std::string text;
    for (uint64_t left = dice.below(9); left > 0; --left) text += dice.pick(letters);
    ASSERT_EQ(words(GetParam(), text), matches(pattern, text)) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(All, WordPatterns,
                         testing::Values(WordPattern::kGpt2, WordPattern::kLlama3, WordPattern::kQwen2,
                                         WordPattern::kGpt4o, WordPattern::kTekken));

TEST(WordPatterns, KnowEveryWayOfWritingThem) {
  EXPECT_EQ(known_word_pattern(expression_of(WordPattern::kGpt2)), WordPattern::kGpt2);
  EXPECT_EQ(known_word_pattern(R"(\w+)"), std::nullopt);
  const std::string_view possessive =
      R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
  ASSERT_EQ(known_word_pattern(possessive), WordPattern::kLlama3);
  const Pattern pattern = Pattern::regex(possessive, "test");
  Dice dice(30);
  for (int round = 0; round < 5000; ++round) {
    const std::string text = random_text(dice);
    ASSERT_EQ(words(WordPattern::kLlama3, text), matches(pattern, text)) << text;
  }
}

}  // namespace
}  // namespace martlet::text
