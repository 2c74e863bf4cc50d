#include "formats/safetensors_types.h"

namespace martlet::formats {

std::string_view safetensors_name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kBF16:
      return "BF16";
    case DType::kF16:
      return "F16";
    case DType::kI8:
      return "I8";
    case DType::kI32:
      return "I32";
    case DType::kI64:
      return "I64";
    case DType::kU8:
      return "U8";
    case DType::kBool:
      break;
  }
  return "BOOL";
}

std::optional<DType> dtype_of_safetensors(std::string_view name) {
  for (const DType dtype : kAllDTypes)
    if (safetensors_name(dtype) == name) return dtype;
  return std::nullopt;
}

std::string safetensors_names() {
  std::string names;
  for (const DType dtype : kAllDTypes) {
    if (!names.empty()) names += ", ";
    names += safetensors_name(dtype);
  }
  return names;
}

}  // namespace martlet::formats
