#pragma once

#include "nn/rewrite.h"

namespace martlet::compress {

/// The packed weight of every Linear that matches is interleaved (ops/packed/interleaved.h), so that its
/// products take activations rounded to int8. Arguments: `pattern` (the head is left out unless it says so).
/// Dense weights and packed formats without that layout stay as they are.
extern const nn::Rewrite kInt8Activations;

}  // namespace martlet::compress
