#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tensor/dtype.h"

namespace martlet::formats {

/// "F32", "BF16", ...: how safetensors names a dtype.
std::string_view safetensors_name(DType dtype);
/// Nothing when it is none of ours.
std::optional<DType> dtype_of_safetensors(std::string_view name);
/// "F32, BF16, ...", for errors.
std::string safetensors_names();

}  // namespace martlet::formats
