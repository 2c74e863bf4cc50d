#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ops/packed_format.h"
#include "tensor/dtype.h"

namespace martlet::formats {

/// What a tensor type number of GGUF means here: dense elements or a packed format.
struct GgufTensorType {
  DType dtype = DType::kU8;
  const ops::PackedFormat* packed = nullptr;  ///< null when dense
};

/// Throws BadInput naming the type and those supported when the number is unknown or not supported.
GgufTensorType gguf_tensor_type(uint32_t number);
/// The number of a type. Throws BadInput for a dtype that GGUF has no number for.
uint32_t gguf_type_number(const GgufTensorType& type);

}  // namespace martlet::formats
