#pragma once

// Keys of families with sparse experts, read once and checked.

#include "models/config_keys.h"
#include "models/family.h"
#include "nn/sparse_experts.h"

namespace martlet::models {

/// The experts of a layer: how many by `count_key`, how wide each by `size_key`, and how many each token goes
/// through by `num_experts_per_tok`. Throws BadInput naming the key, also where the layers have more experts
/// together than any sane model.
nn::SparseExpertsShape experts_shape(const Fields& config, std::string_view count_key,
                                     std::string_view size_key);

/// The metadata of GGUF files for these, both ways; `config` gets the same keys.
void experts_to_gguf(const nn::SparseExpertsShape& shape, std::string_view architecture, GgufConfig& to);
void experts_from_gguf(const formats::GgufFile& file, std::string_view count_key, Json& config);

}  // namespace martlet::models
