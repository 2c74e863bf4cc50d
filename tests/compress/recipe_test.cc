#include "compress/recipe.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace martlet::compress {
namespace {

using Part = MatrixPlace::Part;

std::string type(std::string_view recipe, Part part, int64_t layer = 0, int64_t columns = 512,
                 int64_t groups = 1, bool has_importance = false) {
  const formats::GgufTensorType type =
      type_of(recipe_named(recipe), {part, layer, 32, columns, groups, has_importance});
  return std::string(type.packed != nullptr ? type.packed->name : name_of(type.dtype));
}

TEST(Recipe, TheHeadHasSixBitsUnlessAllHaveEight) {
  for (const Recipe& recipe : recipes())
    EXPECT_EQ(type(recipe.name, Part::kHead), recipe.name == "q8_0" ? "q8_0" : "q6_k") << recipe.name;
  EXPECT_EQ(type("q4_k_m", Part::kHead, 0, 96), "q8_0");
  EXPECT_EQ(type("q4_k_m", Part::kEmbedding), "q4_k");
}

// Of 32 layers: the first and last four, and every third between from the seventh.
TEST(Recipe, HalfOfValuesAndDownProjectionsOfTheMixturesHaveMoreBits) {
  for (int64_t layer = 0; layer < 32; ++layer) {
    const bool more = layer < 4 || layer >= 28 || (layer - 4) % 3 == 2;
    for (const Part part : {Part::kValue, Part::kDown}) {
      EXPECT_EQ(type("q4_k_m", part, layer), more ? "q6_k" : "q4_k") << layer;
      EXPECT_EQ(type("q5_k_m", part, layer), more ? "q6_k" : "q5_k") << layer;
      EXPECT_EQ(type("q4_k_s", part, layer), layer < 4 ? "q5_k" : "q4_k") << layer;
      EXPECT_EQ(type("q6_k", part, layer), "q6_k");
    }
    EXPECT_EQ(type("q4_k_m", Part::kOther, layer), "q4_k");
  }
}

TEST(Recipe, FirstDownProjectionsGetAMinimumWithImportance) {
  EXPECT_EQ(type("q4_0", Part::kDown, 3, 512, 1, true), "q4_1");
  EXPECT_EQ(type("q5_0", Part::kDown, 3, 512, 1, true), "q5_1");
  EXPECT_EQ(type("q4_0", Part::kDown, 4, 512, 1, true), "q4_0");
  EXPECT_EQ(type("q4_0", Part::kDown, 3), "q4_0");
  EXPECT_EQ(type("iq4_nl", Part::kDown, 3), "q5_k");
  EXPECT_EQ(type("iq4_nl", Part::kDown, 3, 512, 1, true), "iq4_nl");
  EXPECT_EQ(type("iq4_nl", Part::kValue, 9, 512, 4), "q5_k");
  EXPECT_EQ(type("iq4_nl", Part::kValue, 9, 512, 2), "iq4_nl");
}

TEST(Recipe, ColumnsThatFillNoBlockOf256TakeBlocksOf32AndElseF16) {
  EXPECT_EQ(type("q4_k_m", Part::kOther, 9, 96), "q5_0");
  EXPECT_EQ(type("q5_k_m", Part::kOther, 9, 96), "q5_1");
  EXPECT_EQ(type("q6_k", Part::kOther, 9, 96), "q8_0");
  EXPECT_EQ(type("q4_k_m", Part::kOther, 9, 100), "f16");
  EXPECT_EQ(type("q4_0", Part::kOther, 9, 100), "f16");
}

TEST(Recipe, AnUnknownNameIsToldWithThoseKnown) {
  try {
    recipe_named("q3_k_m");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("q3_k_m"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("q4_0, q4_1, q5_0"), std::string::npos);
  }
}

}  // namespace
}  // namespace martlet::compress
