#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "nn/roles.h"

namespace martlet::testing {

/// A config of a few thousand parameters for every family, and for what families differ in: by name.
std::vector<std::pair<std::string, Json>> family_configs();

/// Puts every parameter on the tape that is not frozen.
void require_gradients(nn::Model& model);

/// Gradients by path, of ids that each predict the next, the losses added up; of a model without a head,
/// those of a fixed weighted sum of its hidden states. Parameters without a gradient are left out. Clears the
/// gradients.
std::map<std::string, std::vector<float>> gradients_of(nn::Model& model,
                                                       const std::vector<std::vector<int32_t>>& sequences);

}  // namespace martlet::testing
