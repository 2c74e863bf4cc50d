#pragma once

// Which packed format each matrix of a model gets: mixtures of formats under the names that llama.cpp's
// quantiser made common. What matters most for its size gets more bits: the head, values and down projections
// of the first and last layers and of every third between.

#include <cstdint>
#include <span>
#include <string_view>

#include "formats/gguf_types.h"

namespace martlet::compress {

struct Recipe {
  std::string_view name;     ///< "q4_k_m"
  std::string_view base;     ///< the format of most matrices
  int64_t file_type;         ///< GGUF's number for files of this kind
  std::string_view summary;  ///< one line for people
};

/// In the order of help.
std::span<const Recipe> recipes();
/// Throws BadInput listing those known.
const Recipe& recipe_named(std::string_view name);

/// Where a matrix stands.
struct MatrixPlace {
  enum class Part : uint8_t { kHead, kEmbedding, kValue, kDown, kOther };
  Part part = Part::kOther;  ///< an embedding that is the head too is a head; q, k, v in one are values
  int64_t layer = 0;
  int64_t layers = 1;
  int64_t columns = 0;
  int64_t query_groups = 1;  ///< query heads that share a key head
  bool has_importance = false;
};

/// The type that a recipe gives. Where the columns do not fill blocks of 256, one of blocks of 32 with more
/// bits; where they do not fill those either, f16.
formats::GgufTensorType type_of(const Recipe& recipe, const MatrixPlace& place);

}  // namespace martlet::compress
