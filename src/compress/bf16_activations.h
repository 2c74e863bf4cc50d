#pragma once

#include "nn/rewrite.h"

namespace martlet::compress {

/// The bf16 weights of every Linear that matches take activations rounded to bf16 (ops/weight.h). Arguments:
/// `pattern` (the head is left out unless it says so). Other weights stay as they are.
extern const nn::Rewrite kBF16Activations;

/// Whether this processor multiplies bf16 faster than f32, so that running a model should bring it along.
bool bf16_activations_pay();

}  // namespace martlet::compress
