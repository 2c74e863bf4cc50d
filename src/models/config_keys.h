#pragma once

// Keys that several families share, read once and checked.

#include <memory>
#include <string_view>
#include <vector>

#include "base/fields.h"
#include "formats/gguf.h"
#include "nn/layers.h"
#include "ops/rope.h"

namespace martlet::models {

/// The sizes that every decoder has, each within sane bounds; heads divide as they must.
struct DecoderSizes {
  nn::ModelShape model;
  nn::AttentionShape attention;  ///< without biases
  int64_t intermediate_size = 0;
};
DecoderSizes decoder_sizes(const Fields& config);

/// What is added to a variance before its root is taken: from 0 to 1.
double norm_epsilon(const Fields& config, std::string_view key, double fallback);

/// `rope_parameters` (or its entry `layer_type`), or else `rope_theta` and `rope_scaling`.
std::shared_ptr<const ops::RopeScaling> rope_scaling(const Fields& config, int64_t head_dim,
                                                     int64_t max_positions, std::string_view layer_type = {});

/// For each layer its window, 0 for full attention: from `layer_types` where given, else `otherwise(layer)`
/// says whether it slides.
std::vector<int64_t> layer_windows(const Fields& config, int64_t layers, int64_t window,
                                   bool (*otherwise)(const Fields&, int64_t));

/// Keys that GGUF files of all decoder architectures share, as Hugging Face's. Unless `part_rotates`, a file
/// in which only a part of every head rotates is refused.
Json decoder_config_from_gguf(const formats::GgufFile& file, std::string_view model_type,
                              bool part_rotates = false);

}  // namespace martlet::models
