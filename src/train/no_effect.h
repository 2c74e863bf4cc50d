#pragma once

#include "nn/rewrite.h"

namespace martlet::train {

/// The effect of a rewrite that changes only how the model is trained: none on what its weights take, none on
/// what a token costs.
inline std::optional<nn::Effect> no_effect(const nn::ModulePtr&, const nn::Arguments&) {
  return nn::Effect{};
}

}  // namespace martlet::train
