#pragma once

// NumPy's .npy: one array, a small header that is a Python literal, then the elements.
// Format: numpy.lib.format, versions 1.0 to 3.0.

#include <string>

#include "tensor/tensor.h"

namespace martlet::formats {

/// Writes f32, f16, i8, i32, i64, u8 or bool, from any device and layout, whole or not at all. bf16 has no
/// name in this format and is refused: cast it to f32 first.
void write_npy(const std::string& path, const Tensor& tensor);

/// Reads versions 1 to 3, little-endian, either element order. Throws BadInput that begins with the path for
/// another dtype, a damaged header, or a length that is not the shape's.
Tensor read_npy(const std::string& path);

}  // namespace martlet::formats
