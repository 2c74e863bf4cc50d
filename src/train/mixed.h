#pragma once

#include "nn/rewrite.h"

namespace martlet::train {

/// Products of bf16 or f16 with f32 sums, f32 weights and f32 residuals: linear layers round what they
/// multiply. Of bf16, norms hand bf16 on, too. Arguments: `pattern`, `to`.
extern const nn::Rewrite kMixed;

/// Whether a linear layer of the tree multiplies f16: then the loss wants a scale (train/loss_scale.h).
bool multiplies_f16(const nn::Module& tree);

}  // namespace martlet::train
