#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// How rotary angles follow from positions. Su et al., "RoFormer", 2021; the scalings as Hugging Face
/// configures them.
struct RopeScaling {
  enum class Kind { kDefault, kLinear, kDynamic, kYarn, kLongrope, kLlama3 };
  Kind kind = Kind::kDefault;
  double base = 10000.0;           ///< rope_theta
  int64_t dimensions = 0;          ///< rotated elements of a head (even), the first ones
  int64_t max_positions = 0;       ///< max_position_embeddings
  int64_t original_positions = 0;  ///< original_max_position_embeddings; 0: max_positions
  /// linear, dynamic and llama3 need it; 0 in yarn and longrope: max_positions / original_positions.
  double factor = 0;
  double low_frequency_factor = 1.0;            ///< llama3
  double high_frequency_factor = 4.0;           ///< llama3
  double beta_fast = 32.0;                      ///< yarn
  double beta_slow = 1.0;                       ///< yarn
  bool truncate = true;                         ///< yarn: correction range rounded to whole dimensions
  std::optional<double> mscale;                 ///< yarn
  std::optional<double> mscale_all_dimensions;  ///< yarn
  std::optional<double> attention_factor;       ///< yarn, longrope: overrides the derived one
  std::vector<double> short_factor;             ///< longrope: a factor for each pair
  std::vector<double> long_factor;              ///< longrope
};

/// Angles per position of one pair, and what cosine and sine are multiplied by.
struct RopeFrequencies {
  std::vector<float> inverse;  ///< [dimensions / 2]
  float attention_scale = 1.0f;
};

/// `sequence_length`: the longest position + 1 of the forward; `dynamic` and `longrope` depend on it.
/// Throws `bad_input` when the scaling contradicts itself.
RopeFrequencies rope_frequencies(const RopeScaling& scaling, int64_t sequence_length);

/// Cosines and sines of every token, times the attention scale: made once for a forward, shared by the
/// queries and keys of all layers. The angle is the f32 product of position and frequency as in transformers;
/// cosine and sine of that angle are rounded to f32 once.
struct RopeTable {
  Tensor cosine;  ///< [tokens, dimensions / 2] f32
  Tensor sine;    ///< the same shape
};
RopeTable rope_table(std::span<const int32_t> positions, const RopeFrequencies& frequencies,
                     Device device = Device::kCpu);

/// Rotates pairs (i, i + dimensions/2) of every head: (a cos - b sin, b cos + a sin), every product and sum
/// rounded to f32. x: [tokens, heads, head_dim] f32 or bf16, any token and head strides, dense in head_dim;
/// head_dim >= dimensions; what lies behind `dimensions` stays as it is.
Tensor rope(const Tensor& x, const RopeTable& table);
/// Over x's elements, or as a new tensor where somebody may need the old ones for a gradient.
void rope_in_place(Tensor& x, const RopeTable& table);
Cost rope_cost(const Shape& x, DType dtype);

}  // namespace martlet::ops
