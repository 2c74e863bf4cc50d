#pragma once

#include "nn/rewrite.h"

namespace martlet::train {

/// Takes parameters out of what is trained: no gradient is computed or kept for them, the optimiser remembers
/// nothing of them, and their values stay as they were stored. Arguments: `pattern` of modules, with all
/// below them, or of parameters; `except`, which stay trained.
extern const nn::Rewrite kFreeze;

}  // namespace martlet::train
