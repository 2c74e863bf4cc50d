#pragma once

#include "nn/rewrite.h"

namespace martlet::nn {

/// Lets modules share the parameters of another. Arguments: `pattern`, the modules that give up their own
/// values, and `to`, the path of the one whose values all have from there on; both must hold parameters of
/// the same names and shapes.
extern const Rewrite kTie;

}  // namespace martlet::nn
