#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace martlet::train {

/// The config, in Hugging Face's keys, of a new LLaMA: a name ("7m") or sizes
/// ("hidden=288,layers=6,heads=6,kv_heads=6,intermediate=768,context=512,tied=true"), of which hidden and
/// layers are needed and the others follow. Throws BadInput naming the part and the names that are known.
Json model_config(std::string_view shape, int64_t vocabulary_size, int64_t seq);

/// The shapes that have names, smallest first.
std::vector<std::string> model_shape_names();

}  // namespace martlet::train
