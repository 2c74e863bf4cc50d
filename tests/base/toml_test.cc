#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

#include "base/expect_error.h"
#include "base/json.h"
#include "base/random_json.h"

namespace martlet {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Json parse(std::string_view text) {
  return parse_toml(text, "r.toml");
}

/// The order that dump_toml writes: scalars and plain lists, then tables, then lists of tables.
Json in_written_order(const Json& value) {
  const auto group = [](const Json& each) {
    if (each.is_object()) return 1;
    const bool tables = each.is_array() && !each.array().empty() &&
                        std::all_of(each.array().begin(), each.array().end(),
                                    [](const Json& item) { return item.is_object(); });
    return tables ? 2 : 0;
  };
  if (value.is_array()) {
    Json::Array items;
    // Inside a list of more than tables, tables are written inline and keep their order.
    for (const Json& item : value.array()) items.push_back(group(value) == 2 ? in_written_order(item) : item);
    return Json(items);
  }
  if (!value.is_object()) return value;
  Json::Object members;
  for (int wanted = 0; wanted < 3; ++wanted) {
    for (const auto& [key, item] : value.object()) {
      if (group(item) == wanted) members.emplace_back(key, in_written_order(item));
    }
  }
  return Json(members);
}

TEST(Toml, RoundTripsRandomTables) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    const Json value = RandomJson(seed, /*with_null=*/false).object(3);
    const std::string text = dump_toml(value);
    EXPECT_EQ(parse(text), in_written_order(value)) << text;
  }
}

TEST(Toml, ReadsEveryKindInTheOrderOfTheText) {
  const Json value = parse(R"(
zeta = 1
alpha = 0x10
[middle]
text = "é"
real = 1e3
date = 1979-05-27T07:32:00Z
day = 1979-05-27
hour = 07:32:00
flag = true
list = [1, "a", { b = 2 }]
[[rows]]
x = inf
[[rows]]
deep.er.key = nan
[another]
)");
  std::vector<std::string> names;
  for (const auto& [key, item] : value.object()) names.push_back(key);
  EXPECT_THAT(names, testing::ElementsAre("zeta", "alpha", "middle", "rows", "another"));
  EXPECT_EQ(value.at("alpha").integer(), 16);
  EXPECT_EQ(value.at("middle").at("text").string(), "é");
  EXPECT_EQ(value.at("middle").at("real").real(), 1000.0);
  EXPECT_EQ(value.at("middle").at("date").string(), "1979-05-27T07:32:00Z");
  EXPECT_EQ(value.at("middle").at("day").string(), "1979-05-27");
  EXPECT_EQ(value.at("middle").at("hour").string(), "07:32:00");
  EXPECT_EQ(value.at("middle").at("list").array()[2].at("b").integer(), 2);
  EXPECT_EQ(value.at("rows").array()[0].at("x").real(), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(value.at("rows").array()[1].at("deep").at("er").at("key").real()));
}

TEST(Toml, EveryValueKnowsItsLine) {
  const Json value = parse("a = 1\n\n[t]\nb = [\n  2,\n  3 ]\nc = { d = 4 }\n[[l]]\ne = 5\n");
  EXPECT_EQ(value.at("a").line(), 1);
  EXPECT_EQ(value.at("t").line(), 3);
  EXPECT_EQ(value.at("t").at("b").line(), 4);
  EXPECT_EQ(value.at("t").at("b").array()[0].line(), 5);
  EXPECT_EQ(value.at("t").at("b").array()[1].line(), 6);
  EXPECT_EQ(value.at("t").at("c").at("d").line(), 7);
  EXPECT_EQ(value.at("l").array()[0].at("e").line(), 9);
  EXPECT_THAT(bad_input_of([&] { value.at("t").at("b").integer(); }), HasSubstr("line 4"));
}

TEST(Toml, ErrorsNameSourceAndLine) {
  EXPECT_THAT(bad_input_of([] { parse("a = 1\nb = \n"); }), StartsWith("r.toml:2:"));
  EXPECT_THAT(bad_input_of([] { parse("a = 1\na = 2\n"); }), StartsWith("r.toml:2:"));
  EXPECT_THAT(bad_input_of([] { parse("a = \"\xFF\"\n"); }), StartsWith("r.toml:1:"));
  EXPECT_THAT(bad_input_of([] { parse("\n\n[open"); }), StartsWith("r.toml:3:"));
}

TEST(Toml, NestingIsBoundedHoweverItIsSpelled) {
  const auto repeated = [](std::string_view piece, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += piece;
    return out;
  };
  EXPECT_NO_THROW(parse("a = " + repeated("[", 199) + repeated("]", 199)));
  EXPECT_NO_THROW(parse(repeated("a.", 190) + "a = 1"));
  const std::vector<std::string> bombs{
      "a = " + repeated("[", 100000),
      "a = " + repeated("[\n", 100000),
      "\na = " + repeated("{ b = ", 100000),
      repeated("a.", 1000000) + "a = 1",
      "[" + repeated("a.", 1000000) + "a]",
      "[[" + repeated("a.", 1000000) + "a]]",
      "x = " + repeated("{ " + repeated("a.", 100) + "a = ", 200),
      "x = \"\"\"q\"\"\"\"\"\ny = " + repeated("[", 100000),
      "x = '''\n[[''''' # [\ny = " + repeated("[", 100000),
  };
  for (const std::string& bomb : bombs) {
    EXPECT_THAT(bad_input_of([&] { parse(bomb); }), HasSubstr("nested deeper than 200"))
        << bomb.substr(0, 60);
  }
}

TEST(Toml, BracketsAndDotsInTextAndCommentsDoNotNest) {
  const std::string many(1000, '[');
  const std::string dots(1000, '.');
  EXPECT_EQ(parse("a = \"" + many + dots + "\\\"" + many + "\" # " + many + dots + "\nb = '" + many + "'\n")
                .object()
                .size(),
            2u);
  EXPECT_EQ(parse("a = \"\"\"\n" + many + "\\\"\"" + dots + "\"\"\"\nb = '''" + dots + "\n'" + many + "'''")
                .object()
                .size(),
            2u);
  std::string reals = "a = [";
  for (int i = 0; i < 1000; ++i) reals += "1.5,";
  EXPECT_EQ(parse(reals + "]").at("a").array().size(), 1000u);
}

TEST(Toml, WritesTextThatPeopleWouldWrite) {
  const Json value = Json::parse(
      R"({"model": {"path": "a b", "none": null}, "steps": 10, "rewrite": [{"name": "cast", "to": "bf16"}, {"name": "x"}], "list": [0.5, 1.0]})",
      "t");
  EXPECT_EQ(dump_toml(value),
            "steps = 10\nlist = [0.5, 1.0]\n\n[model]\npath = \"a b\"\n\n[[rewrite]]\nname = \"cast\"\nto = "
            "\"bf16\"\n\n[[rewrite]]\nname = \"x\"\n");
  EXPECT_EQ(dump_toml(Json(Json::Object{{"a b", 1}, {"", 2}})), "\"a b\" = 1\n\"\" = 2\n");
}

TEST(Toml, RefusesANullInAList) {
  const Json value(Json::Object{{"a", Json::Array{Json()}}});
  EXPECT_THAT(error_of(ErrorCode::kFailed, [&] { dump_toml(value); }), HasSubstr("TOML has no null"));
}

}  // namespace
}  // namespace martlet
