#include "text/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/oniguruma.h"

namespace martlet::text {
namespace {

using Matches = std::vector<std::string>;

Matches matches(const std::string& expression, const std::string& text) {
  Matches out;
  Pattern::regex(expression, "test").for_each(text, [&](size_t begin, size_t end) {
    out.push_back(text.substr(begin, end - begin));
  });
  return out;
}

// What Oniguruma's documentation of Ruby syntax says.
TEST(Regex, ReadsRubySyntax) {
  EXPECT_EQ(matches(R"(\h+)", "x0fG"), (Matches{"0f"}));
  EXPECT_EQ(matches(R"(\H)", "a-"), (Matches{"-"}));
  EXPECT_EQ(matches(R"(\w+)", "a½b \u24D0\u0301"), (Matches{"a½b", "\u24D0\u0301"}));
  EXPECT_EQ(matches(R"([\w]+)", "a½b"), (Matches{"a", "b"}));
  EXPECT_EQ(matches(R"(\W)", "a-b"), (Matches{"-"}));
  EXPECT_EQ(matches(R"((?m:a.))", "a\na"), (Matches{"a\n"}));
  EXPECT_EQ(matches(R"(a.)", "a\nab"), (Matches{"ab"}));
  EXPECT_EQ(matches(R"(^b$)", "a\nb\nc"), (Matches{"b"}));
  EXPECT_EQ(matches(R"(a(?i)b|c)", "aC aB c"), (Matches{"aC", "aB"}));
  EXPECT_EQ(matches(R"([a-z&&[^b-y]]+)", "abyz"), (Matches{"a", "z"}));
  EXPECT_EQ(matches(R"([^a-z&&[^b]])", "ab1"), (Matches{"b", "1"}));
  EXPECT_EQ(matches(R"([a[0-9]]+)", "xa1"), (Matches{"a1"}));
  EXPECT_EQ(matches(R"([\W_]+)", "a_-b"), (Matches{"_-"}));
  EXPECT_EQ(matches(R"([^\W\d]+)", "a1b-"), (Matches{"a", "b"}));
  EXPECT_EQ(matches(R"(x{,2}y)", "xxxy"), (Matches{"xxy"}));
  EXPECT_EQ(matches(R"(a{|b{x})", "a{b{x}"), (Matches{"a{", "b{x}"}));
  EXPECT_EQ(matches(R"(\u4e2d|\x{6587}|\x41)", "中文A"), (Matches{"中", "文", "A"}));
  EXPECT_EQ(matches(R"(\v)", "\n\v"), (Matches{"\v"}));
  EXPECT_EQ(matches(R"([[:digit:]]|[[:^space:]]x)", "1 yx"), (Matches{"1", "yx"}));
  EXPECT_EQ(matches(R"(\p{Letter}\p{^L})", "ab1"), (Matches{"b1"}));
  EXPECT_EQ(matches(R"(\p{Greek}+)", "aαβ"), (Matches{"αβ"}));
  EXPECT_EQ(matches(R"(a(?#comment)b)", "ab"), (Matches{"ab"}));
  EXPECT_EQ(matches(R"((?i:'s))", "'\u017F"), (Matches{"'\u017F"}));
  EXPECT_EQ(matches(R"(\i\-)", "i-"), (Matches{"i-"}));
}

TEST(Regex, EmptyMatchesCountButNotRightAfterAMatch) {
  std::vector<std::pair<size_t, size_t>> found;
  Pattern::regex("a*", "test").for_each("baac", [&](size_t begin, size_t end) {
    found.emplace_back(begin, end);
  });
  EXPECT_EQ(found, (std::vector<std::pair<size_t, size_t>>{{0, 0}, {1, 3}, {4, 4}}));
  found.clear();
  Pattern::literal("").for_each("é", [&](size_t begin, size_t end) { found.emplace_back(begin, end); });
  EXPECT_EQ(found, (std::vector<std::pair<size_t, size_t>>{{0, 0}, {2, 2}}));
}

TEST(Regex, KnowsWhatUnicode16Added) {
  EXPECT_EQ(matches(R"(\p{Lu}\p{Ll})", "\U00010D50\U00010D70"), (Matches{"\U00010D50\U00010D70"}));
  EXPECT_EQ(matches(R"(\s)", "\u180E "), (Matches{" "}));
  EXPECT_EQ(matches(R"(\p{Han}+)", "\U0002EBF0"), (Matches{"\U0002EBF0"}));
  EXPECT_EQ(matches(R"((.)\1)", "\U00010D50\U00010D51\U00010D51"), (Matches{"\U00010D51\U00010D51"}));
}

TEST(Regex, RefusesWhatIsBrokenOrReadDifferently) {
  for (const char* expression : {"(",
                                 ")",
                                 "[a",
                                 "a)",
                                 "(?<n",
                                 "*a",
                                 "\\",
                                 "\\p{Nonsense}",
                                 "\\p{",
                                 "\\pL",
                                 "a{2}+",
                                 "a{3}?",
                                 "(?s:a)",
                                 "(?~a)",
                                 "\\G",
                                 "\\ca",
                                 "\\xE4",
                                 "\\x{110000}",
                                 "\\x{12",
                                 "\\u12",
                                 "[[:punct:]]",
                                 "[[:nonsense:]]",
                                 "[z-a]",
                                 "(?z)",
                                 "[a[b[c[d[e[f[g[h[i[j[k]]]]]]]]]]]",
                                 "[\\X]"}) {
    EXPECT_THAT(
        [&] { Pattern::regex(expression, "tokenizer.json"); },
        testing::Throws<Error>(testing::AllOf(
            testing::Property(&Error::code, ErrorCode::kBadInput),
            testing::Property(&Error::what, testing::StartsWith("tokenizer.json: the regular expression")))))
        << expression;
  }
}

TEST(Regex, GivesUpWithAnErrorInsteadOfForEver) {
  const Pattern pattern = Pattern::regex("(?:a+)+[bz]", "test");
  EXPECT_THROW(pattern.for_each(std::string(64, 'a') + "c", [](size_t, size_t) {}), Error);
}

TEST(Regex, ManyNestedGroupsGetALargerStack) {
  const Pattern pattern = Pattern::regex("(?:(a)|(b)|(c))+", "test");
  size_t length = 0;
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "abc";
  pattern.for_each(text, [&](size_t begin, size_t end) { length += end - begin; });
  EXPECT_EQ(length, text.size());
}

}  // namespace
}  // namespace martlet::text
