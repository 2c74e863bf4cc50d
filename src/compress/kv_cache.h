#pragma once

#include "nn/rewrite.h"

namespace martlet::compress {

/// Attention keeps its keys and values in few bits (ops/key_value_tiles.h). Arguments: `pattern`, `format`
/// (f32, f16, q8, q4).
extern const nn::Rewrite kKvCache;

}  // namespace martlet::compress
