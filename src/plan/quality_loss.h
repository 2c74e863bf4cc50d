#pragma once

// What formats cost in quality, as it was measured: a forecast is the figure of the table, and adds up where
// several come together.

#include <optional>
#include <span>
#include <string_view>

#include "ops/key_value_tiles.h"

namespace martlet::plan {

/// Mean KL divergence, in nats a token, of the next token's probabilities from those of the model as it is.
/// The greater of what two real models lost (docs/quantisation.md); another model may lose less or more,
/// small ones more than large ones.
double cache_loss(ops::CacheFormat format);

/// What the matrices of a model's blocks may be packed to, least loss first.
std::span<const std::string_view> packed_choices();
/// Of all matrices of blocks in one of `packed_choices`, as such a model runs: with products of int8, and
/// keys and values in f16.
double packing_loss(std::string_view choice);

}  // namespace martlet::plan
