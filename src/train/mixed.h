#pragma once

#include "nn/rewrite.h"

namespace martlet::train {

/// Products in bf16 with f32 sums, f32 weights and f32 residuals: linear layers round what they multiply, and
/// norms hand bf16 on. Argument: `pattern`.
extern const nn::Rewrite kMixed;

}  // namespace martlet::train
