#pragma once

#include "nn/roles.h"

namespace martlet::train {

/// Gives every parameter of a tree without values its first one, f32: matrices and tables a normal draw of
/// deviation `spread`, those that end a residual branch (o_proj, down_proj) one smaller by sqrt(2 layers)
/// (Radford et al., "GPT-2", 2019), norms what makes them pass rows unchanged, biases zero. Each draw depends
/// on the seed, the parameter's path and the element's index alone.
void initialise(nn::Model& model, uint64_t seed, double spread = 0.02);

}  // namespace martlet::train
