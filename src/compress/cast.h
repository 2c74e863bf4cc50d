#pragma once

#include "nn/rewrite.h"

namespace martlet::compress {

/// Weights of modules to another floating dtype, rounded to nearest even; packed ones are unpacked before.
/// Arguments: `pattern`, `to` (bf16, f16, f32). Vectors (norms, biases) keep theirs.
extern const nn::Rewrite kCast;

}  // namespace martlet::compress
