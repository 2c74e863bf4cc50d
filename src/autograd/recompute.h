#pragma once

// Activation checkpointing: less memory for more time. Chen et al., "Training Deep Nets with Sublinear Memory
// Cost", 2016.

#include "autograd/node.h"

namespace martlet::autograd {

/// function(inputs), of which nothing but the inputs is kept for the backward, where it is computed again.
/// Gradients are those of the plain call bit for bit, since kernels repeat themselves bit for bit; they reach
/// the inputs as well as every parameter and every other recorded tensor that `function` uses.
///
/// `function` is kept until the backward, and so must be what it refers to. It gives the same result every
/// time (its random draws are by number) and has no other effect; it may call `recompute` itself.
Tensor recompute(const std::function<Tensor(const std::vector<Tensor>&)>& function,
                 const std::vector<Tensor>& inputs);

}  // namespace martlet::autograd
