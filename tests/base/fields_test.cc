#include "base/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/expect_error.h"

namespace martlet {
namespace {

using testing::HasSubstr;

const Json& sample() {
  static const Json value =
      parse_toml("layers = 3\nrate = 1e-3\nname = \"x\"\ntied = true\nwhole = 4096.0\n[sub]\nstpes = 7\n",
                 "recipe.toml");
  return value;
}

TEST(Fields, ReadsTypedValuesAndFallbacks) {
  const Fields fields(sample(), "recipe.toml");
  EXPECT_EQ(fields.integer("layers"), 3);
  EXPECT_EQ(fields.integer("whole"), 4096);
  EXPECT_EQ(fields.integer("absent", 5), 5);
  EXPECT_EQ(fields.real("rate"), 1e-3);
  EXPECT_EQ(fields.real("layers"), 3.0);
  EXPECT_EQ(fields.real("absent", 0.5), 0.5);
  EXPECT_EQ(fields.text("name"), "x");
  EXPECT_EQ(fields.text("absent", "y"), "y");
  EXPECT_TRUE(fields.boolean("tied", false));
  EXPECT_TRUE(fields.boolean("absent", true));
  EXPECT_TRUE(fields.has("sub"));
  EXPECT_FALSE(fields.has("absent"));
  EXPECT_TRUE(fields.value("sub")->is_object());
  EXPECT_EQ(fields.value("absent"), nullptr);
  EXPECT_EQ(fields.integer_within("layers", 1, 3), 3);
  EXPECT_EQ(fields.integer_within("absent", 1, 3, 9), 9);
}

TEST(Fields, ANullCountsAsMissing) {
  const Json value = Json::parse(R"({"a": null})", "c.json");
  const Fields fields(value, "c.json");
  EXPECT_FALSE(fields.has("a"));
  EXPECT_EQ(fields.integer("a", 2), 2);
  EXPECT_EQ(fields.value("a"), nullptr);
  EXPECT_THAT(bad_input_of([&] { fields.text("a"); }), HasSubstr("c.json: the key 'a' is missing"));
}

TEST(Fields, WrongKindsNameSourceLineKeyAndBothKinds) {
  const Fields fields(sample(), "recipe.toml");
  EXPECT_EQ(bad_input_of([&] { fields.integer("rate"); }),
            "recipe.toml, line 2: 'rate' must be an integer, got a number");
  EXPECT_EQ(bad_input_of([&] { fields.integer("name", 1); }),
            "recipe.toml, line 3: 'name' must be an integer, got text");
  EXPECT_EQ(bad_input_of([&] { fields.text("tied"); }),
            "recipe.toml, line 4: 'tied' must be text, got a boolean");
  EXPECT_EQ(bad_input_of([&] { fields.boolean("layers", true); }),
            "recipe.toml, line 1: 'layers' must be a boolean, got an integer");
  EXPECT_THAT(bad_input_of([] { Fields(Json(3), "x.json"); }),
              HasSubstr("x.json: expected a table, got an integer"));
}

TEST(Fields, RangesAreChecked) {
  const Fields fields(sample(), "recipe.toml");
  EXPECT_EQ(bad_input_of([&] { fields.integer_within("layers", 4, 10); }),
            "recipe.toml, line 1: 'layers' must be from 4 to 10, got 3");
  EXPECT_EQ(bad_input_of([&] { fields.integer_within("layers", 0, 2, 1); }),
            "recipe.toml, line 1: 'layers' must be from 0 to 2, got 3");
}

TEST(Fields, HugeRealsAreNoIntegers) {
  const Json value = Json::parse(R"({"a": 1e300, "b": 18446744073709551615})", "c");
  const Fields fields(value, "c");
  bad_input_of([&] { fields.integer("a"); });
  bad_input_of([&] { fields.integer("b"); });
}

TEST(Fields, AnUnknownKeyIsNamedWithTheNearestKnownOne) {
  const Fields fields(sample().at("sub"), "recipe.toml [sub]");
  fields.integer("steps", 1);
  fields.integer("seed", 1);
  EXPECT_EQ(bad_input_of([&] { fields.reject_unknown(); }),
            "recipe.toml [sub], line 7: unknown key 'stpes'; did you mean 'steps'?");
  const Json far = Json::parse(R"({"wavelength": 1})", "c");
  const Fields none(far, "c");
  none.has("steps");
  none.has("seed");
  EXPECT_EQ(bad_input_of([&] { none.reject_unknown(); }),
            "c: unknown key 'wavelength'; known here: seed, steps");
}

TEST(Fields, NothingIsRejectedWhenAllWasAskedFor) {
  const Fields fields(sample().at("sub"), "recipe.toml [sub]");
  fields.integer("stpes", 1);
  EXPECT_NO_THROW(fields.reject_unknown());
}

}  // namespace
}  // namespace martlet
