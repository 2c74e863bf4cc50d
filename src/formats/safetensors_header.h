#pragma once

// The header of a safetensors file: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
// "__metadata__": {"key": "value"}}. Read by a scanner of its own because a general JSON value hides what
// must be refused here: names that come twice, numbers that are no whole numbers, any nesting beyond this
// form.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/shape.h"

namespace martlet::formats {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  ///< as written: "BF16"
  Shape shape;
  uint64_t begin = 0;  ///< bytes after the header
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  ///< in the order of the text
  std::vector<std::pair<std::string, std::string>> metadata;
};

/// Throws BadInput with the byte where the text leaves the form. Names may still come twice.
SafetensorsHeader parse_safetensors_header(std::string_view text);

}  // namespace martlet::formats
