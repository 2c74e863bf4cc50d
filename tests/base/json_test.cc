#include "base/json.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

#include "base/expect_error.h"
#include "base/random_json.h"
#include "base/utf8.h"

namespace martlet {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Json parse(std::string_view text) {
  return Json::parse(text, "t.json");
}

TEST(Json, RoundTripsRandomValuesOnOneLineAndIndented) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    RandomJson random(seed);
    const Json value = random.value(4);
    EXPECT_EQ(parse(value.dump()), value) << value.dump();
    EXPECT_EQ(parse(value.dump(2)), value) << value.dump(2);
  }
}

TEST(Json, OneLineHasNoLineBreak) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    EXPECT_EQ(RandomJson(seed).object(3).dump().find('\n'), std::string::npos);
  }
}

TEST(Json, ReadsEveryKind) {
  const Json value =
      parse(R"( {"a": null, "b": true, "c": -3, "d": 0.5, "e": "\u00e9\ud83d\ude00\n", "f": [], "g": {}} )");
  EXPECT_TRUE(value.at("a").is_null());
  EXPECT_TRUE(value.at("b").boolean());
  EXPECT_EQ(value.at("c").integer(), -3);
  EXPECT_EQ(value.at("c").real(), -3.0);
  EXPECT_EQ(value.at("d").real(), 0.5);
  EXPECT_EQ(value.at("e").string(), "é😀\n");
  EXPECT_TRUE(value.at("f").array().empty());
  EXPECT_TRUE(value.at("g").object().empty());
  EXPECT_EQ(value.find("h"), nullptr);
}

TEST(Json, IntegersBeyondSixtyThreeBitsBecomeReals) {
  EXPECT_EQ(parse("9223372036854775807").integer(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(parse("-9223372036854775808").integer(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(parse("9223372036854775808").kind(), Json::Kind::kReal);
  EXPECT_EQ(parse("9223372036854775808").real(), 0x1p63);
  EXPECT_EQ(parse("18446744073709551615").real(), 0x1p64);
  EXPECT_EQ(parse("1e3").kind(), Json::Kind::kReal);
}

TEST(Json, KeepsTheOrderAndTheLastOfEqualKeys) {
  const Json value = parse(R"({"z": 1, "a": 2, "z": 3})");
  EXPECT_EQ(value, Json(Json::Object{{"z", 3}, {"a", 2}}));
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += fmt::format("\"k{}\": {}, ", i % 40, i);
  const Json merged = parse(many + "\"end\": 0}");
  ASSERT_EQ(merged.object().size(), 41u);
  EXPECT_EQ(merged.object().front().first, "k0");
  EXPECT_EQ(merged.at("k0").integer(), 80);
  EXPECT_EQ(merged.at("k39").integer(), 79);
}

TEST(Json, RealsAreShortestAndStayReals) {
  EXPECT_EQ(Json(0.1).dump(), "0.1");
  EXPECT_EQ(Json(1.0).dump(), "1.0");
  EXPECT_EQ(Json(-0.0).dump(), "-0.0");
  EXPECT_EQ(Json(1e300).dump(), "1e+300");
  EXPECT_EQ(Json(std::nan("")).dump(), "null");
  EXPECT_EQ(Json(-std::numeric_limits<double>::infinity()).dump(), "null");
}

TEST(Json, TextKeepsNonAsciiAndMendsInvalidBytes) {
  EXPECT_EQ(Json("é中😀").dump(), "\"é中😀\"");
  EXPECT_EQ(Json("a\"\\\b\f\n\r\t\x01\x7f").dump(), R"("a\"\\\b\f\n\r\t\u0001\u007f")");
  EXPECT_EQ(Json("a\xFF"
                 "b\xE4\xB8")
                .dump(),
            "\"a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD\"");
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    RandomJson random(seed);
    std::string bytes;
    for (uint64_t left = random.below(20); left > 0; --left) bytes += static_cast<char>(random.below(256));
    EXPECT_EQ(parse(Json(bytes).dump()).string(), replace_invalid_utf8(bytes));
  }
}

TEST(Json, IndentsByTheGivenSpaces) {
  EXPECT_EQ(parse(R"({"a":[1,{}],"b":[]})").dump(2), "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
  EXPECT_EQ(parse(R"({"a":[1,{}],"b":[]})").dump(), R"({"a": [1, {}], "b": []})");
}

TEST(Json, ErrorsNameSourceLineAndColumn) {
  EXPECT_THAT(bad_input_of([] { parse("[1, x]"); }), StartsWith("t.json:1:5: "));
  EXPECT_THAT(bad_input_of([] { parse("{\n \"é\": 1,\n \"b\" 2}"); }), StartsWith("t.json:3:6: "));
  EXPECT_THAT(bad_input_of([] { parse("\"é\" x"); }), StartsWith("t.json:1:5: "));
  EXPECT_THAT(bad_input_of([] { parse(""); }), StartsWith("t.json:1:1: "));
  EXPECT_THAT(bad_input_of([] { parse("[1,\n"); }), StartsWith("t.json:2:1: "));
  EXPECT_THAT(bad_input_of([] { parse("[1e999]"); }), HasSubstr("1e999"));
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const std::string text :
       {"nul", "[1,]", "{\"a\":1,}", "{a: 1}", "'a'", "NaN", "01", "[1] 2", "\"\xFF\"", "\"\\ud800\"",
        "\"a\nb\"", "// c\n1", "\xEF\xBB", "{", "]", "\"", "-", "1.", "\"\\x\""}) {
    EXPECT_THAT(bad_input_of([&] { parse(text); }), StartsWith("t.json:")) << text;
  }
}

TEST(Json, EveryPrefixOfAnObjectIsAnErrorAndNotACrash) {
  const std::string whole = RandomJson(7).object(3).dump();
  for (size_t length = 0; length < whole.size(); ++length) {
    bad_input_of([&] { parse(std::string_view(whole).substr(0, length)); });
  }
}

TEST(Json, ErrorsStayShortForLongTokens) {
  const std::string text = "[\"" + std::string(1 << 20, 'a') + "\xFF\"]";
  EXPECT_LT(bad_input_of([&] { parse(text); }).size(), 400u);
}

TEST(Json, NestingIsBoundedAt200) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(parse(nested(200)));
  EXPECT_THAT(bad_input_of([&] { parse(nested(201)); }),
              StartsWith("t.json:1:201: lists and tables are nested deeper"));
  bad_input_of([] { parse(std::string(10'000'000, '[')); });
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a]\\\"\":\n";
  EXPECT_THAT(bad_input_of([&] { parse(objects); }), StartsWith("t.json:201:1: "));
}

TEST(Json, WrongKindsAreErrorsThatSayBoth) {
  EXPECT_THAT(bad_input_of([] { Json("x").integer(); }), HasSubstr("expected an integer, got text"));
  EXPECT_THAT(bad_input_of([] { Json(0.5).integer(); }), HasSubstr("expected an integer, got a number"));
  EXPECT_THAT(bad_input_of([] { Json().array(); }), HasSubstr("expected a list, got null"));
  EXPECT_THAT(bad_input_of([] { Json(true).at("a"); }), HasSubstr("expected a table, got a boolean"));
  EXPECT_THAT(bad_input_of([] { parse("{}").at("a"); }), HasSubstr("'a' is missing"));
}

TEST(Json, BuildsFromNothing) {
  Json value;
  value.set("a", 1);
  value.set("list", Json::Array{"x"}).set("b", true);
  value.set("a", 2);
  EXPECT_EQ(value.dump(), R"({"a": 2, "list": ["x"], "b": true})");
  const Json twice{Json::Object{{"k", 1}, {"k", 2}}};
  EXPECT_EQ(twice.at("k").integer(), 2);
}

}  // namespace
}  // namespace martlet
