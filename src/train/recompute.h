#pragma once

#include "nn/rewrite.h"

namespace martlet::train {

/// Activation checkpointing: of the modules that match, training keeps the inputs only and computes the rest
/// again in the backward. Gradients have the same bits. Argument: `pattern` of blocks, attention,
/// attention cores or feed-forwards.
extern const nn::Rewrite kRecompute;

}  // namespace martlet::train
