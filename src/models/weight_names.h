#pragma once

// From a parameter's path in the tree to its name and form in files.

#include <string>
#include <string_view>

#include "models/family.h"

namespace martlet::models {

/// The family's line for a path, and the layer's number as text ("" outside the layers).
struct NamedWeight {
  const WeightName* entry = nullptr;  ///< null when the family has no such parameter
  std::string layer;

  std::string hugging_face() const;
  std::string gguf() const;
};
NamedWeight find_weight_name(const Family& family, std::string_view path);

/// 0, 1 or 2 when it is a third of a joined tensor, else -1.
int third_of(Stored form);
bool is_transposed(Stored form);

}  // namespace martlet::models
