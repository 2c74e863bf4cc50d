#pragma once

#include "nn/rewrite.h"

namespace martlet::nn {

/// Puts a probe around modules: it counts, for every output that passes, how many elements there were, their
/// mean, standard deviation, root mean square, least and greatest, and the share of zeros and of elements
/// that are not finite. Outputs pass unchanged, to the bit. Arguments: `pattern`. The report is a list of
/// rows {path, kind, elements, mean, std, rms, min, max, zeros, not_finite}, in the order of the tree.
extern const Rewrite kProbe;

}  // namespace martlet::nn
