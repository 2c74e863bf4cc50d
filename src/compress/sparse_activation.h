#pragma once

#include "nn/rewrite.h"

namespace martlet::compress {

/// Feed-forward layers whose activation gives zeros (relu, relu2) read only the weights of neurons that fire:
/// the gate, or the only projection before the activation, says which. Arguments: `pattern`. Reports the
/// share of neurons that was read.
extern const nn::Rewrite kSparseActivation;

}  // namespace martlet::compress
