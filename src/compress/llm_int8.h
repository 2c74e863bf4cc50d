#pragma once

#include "nn/rewrite.h"

namespace martlet::compress {

/// Every plain Linear that matches computes with int8 weights and int8 activations, outliers of activations
/// kept as they are (ops/outlier_linear.h). Arguments: `pattern`, `threshold`.
extern const nn::Rewrite kLlmInt8;

}  // namespace martlet::compress
