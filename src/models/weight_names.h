#pragma once

// From a parameter's path in the tree to its name and form in files.

#include <string>
#include <string_view>

#include "models/family.h"

namespace martlet::models {

/// The family's line for a path, and the layer's and expert's numbers as text ("" outside of them).
struct NamedWeight {
  const WeightName* entry = nullptr;  ///< null when the family has no such parameter
  std::string layer;
  std::string expert;

  std::string hugging_face() const;
  std::string gguf() const;
};
NamedWeight find_weight_name(const Family& family, std::string_view path);

/// Whether the stored tensor holds several parameters.
bool is_shared(Stored form);
bool is_transposed(Stored form);
/// Whether `a` comes before `b` in a tensor that holds both.
bool comes_before(const NamedWeight& a, const NamedWeight& b);

}  // namespace martlet::models
