#pragma once

#include "nn/rewrite.h"

namespace martlet::compress {

/// W [out, in] of every Linear that matches becomes up [out, r] times down [r, in], its best approximation of
/// that rank. Arguments: `pattern`, and either `rank` or `energy` (the least rank that keeps this share of
/// the sum of squared singular values; 0.9 when neither is given; a layer that would not get smaller is left
/// alone).
extern const nn::Rewrite kLowRank;

}  // namespace martlet::compress
