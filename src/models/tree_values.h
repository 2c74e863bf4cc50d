#pragma once

// The parameters of a tree on their way to files.

#include <string>
#include <vector>

#include "models/open.h"

namespace martlet::models {

/// A parameter's value; nothing is copied or unpacked yet.
struct TreeValue {
  std::string path;  ///< "layers.0.attention.q_proj.weight"
  Shape shape;
  ops::Weight weight;  ///< of a matrix
  Tensor tensor;       ///< of any other rank
  bool own = false;    ///< of a module that a rewrite made, without a name in the family's files
};

/// In the order of the tree, those that the config ties to an earlier one left out. A module that a rewrite
/// put in the place of a plain one gives its own parameters and the plain ones that come nearest.
std::vector<TreeValue> tree_values(const OpenModel& model);

}  // namespace martlet::models
