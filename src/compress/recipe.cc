#include "compress/recipe.h"

#include <array>

#include "base/error.h"

namespace martlet::compress {
namespace {

using Part = MatrixPlace::Part;

constexpr std::array kRecipes{
    Recipe{"q4_0", "q4_0", 2, "4 bits and a scale for 32; head 6 bits"},
    Recipe{"q4_1", "q4_1", 3, "4 bits, a scale and a minimum for 32; head 6 bits"},
    Recipe{"q5_0", "q5_0", 8, "5 bits and a scale for 32; head 6 bits"},
    Recipe{"q5_1", "q5_1", 9, "5 bits, a scale and a minimum for 32; head 6 bits"},
    Recipe{"q8_0", "q8_0", 7, "8 bits and a scale for 32: hardly a loss"},
    Recipe{"q4_k_s", "q4_k", 14, "4 bits in blocks of 256; first values and down projections 5"},
    Recipe{"q4_k_m", "q4_k", 15, "4 bits in blocks of 256; half of values and down projections 6"},
    Recipe{"q5_k_s", "q5_k", 16, "5 bits in blocks of 256"},
    Recipe{"q5_k_m", "q5_k", 17, "5 bits in blocks of 256; half of values and down projections 6"},
    Recipe{"q6_k", "q6_k", 18, "6 bits in blocks of 256"},
    Recipe{"iq4_nl", "iq4_nl", 25, "4 bits that index uneven levels; first down projections 5"},
};

/// The layers that get more bits in the mixtures called m.
bool is_favoured(int64_t layer, int64_t layers) {
  const int64_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

std::string_view format_of_value(const Recipe& recipe, const MatrixPlace& place) {
  constexpr int64_t kFirstValues = 4;
  constexpr int64_t kManyGroups = 4;
  if (recipe.name.ends_with("_m") && is_favoured(place.layer, place.layers)) return "q6_k";
  if (recipe.name == "q4_k_s" && place.layer < kFirstValues) return "q5_k";
  if (recipe.name == "iq4_nl" && place.query_groups >= kManyGroups) return "q5_k";
  return recipe.base;
}

std::string_view format_of_down(const Recipe& recipe, const MatrixPlace& place) {
  if (recipe.name.ends_with("_m")) return is_favoured(place.layer, place.layers) ? "q6_k" : recipe.base;
  if (place.layer >= place.layers / 8) return recipe.base;
  if (recipe.name == "q4_k_s") return "q5_k";
  if (recipe.name == "iq4_nl" && !place.has_importance) return "q5_k";
  // With importance the first down projections, whose inputs have outliers, get a minimum too.
  if (recipe.name == "q4_0" && place.has_importance) return "q4_1";
  if (recipe.name == "q5_0" && place.has_importance) return "q5_1";
  return recipe.base;
}

std::string_view format_of_head(const Recipe& recipe, const MatrixPlace& place) {
  const ops::PackedFormat& base = *ops::find_packed_format(recipe.base);
  if (recipe.base == "q8_0" || place.columns % base.block_elements != 0) return "q8_0";
  return "q6_k";
}

std::string_view format_of(const Recipe& recipe, const MatrixPlace& place) {
  switch (place.part) {
    case Part::kHead:
      return format_of_head(recipe, place);
    case Part::kValue:
      return format_of_value(recipe, place);
    case Part::kDown:
      return format_of_down(recipe, place);
    default:
      return recipe.base;
  }
}

std::string_view narrower(std::string_view format) {
  if (format == "q4_k") return "q5_0";
  if (format == "q5_k") return "q5_1";
  return "q8_0";
}

}  // namespace

std::span<const Recipe> recipes() {
  return kRecipes;
}

const Recipe& recipe_named(std::string_view name) {
  std::string known;
  for (const Recipe& recipe : kRecipes) {
    if (recipe.name == name) return recipe;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", recipe.name);
  }
  bad_input("unknown format \"{}\"; those that can be written are {}", name, known);
}

formats::GgufTensorType type_of(const Recipe& recipe, const MatrixPlace& place) {
  const ops::PackedFormat* format = ops::find_packed_format(format_of(recipe, place));
  if (place.columns % format->block_elements != 0 && format->block_elements > 32)
    format = ops::find_packed_format(narrower(format->name));
  if (place.columns % format->block_elements != 0) return {.dtype = DType::kF16};
  return {.packed = format};
}

}  // namespace martlet::compress
