#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace martlet::testing {

/// How matrices lie in a directory that another tool quantised.
inline constexpr std::string_view kQuantisedMethods[] = {"gptq", "gptq_order", "awq", "compressed",
                                                         "bitsandbytes"};

/// Writes config.json and model.safetensors of a LLaMA whose linear layers hold drawn codes as `method`
/// stores them, of four bits in groups of 32 (gptq_order: of columns in a drawn order), or of eight bits a
/// row. The head and the embedding are f32. `seed` changes values and no sizes. The folder is made.
void write_quantised_directory(const std::string& path, Json config, std::string_view method, uint64_t seed);

}  // namespace martlet::testing
