#pragma once

// What products of weights on the CPU take, whatever they round x to.

#include "ops/cpu/rms_rows.h"
#include "ops/weight.h"

namespace martlet::ops::cpu {

/// x [tokens, columns] f32, row after row; or its norm, which is taken of a row as it is rounded.
struct ActivationRows {
  const float* values;
  int64_t tokens, columns;
  const RmsRows* norm = nullptr;
};

/// y = x W^T + bias, or y += that.
struct WeightProduct {
  const Weight* weight;
  const float* bias;  ///< [rows] or null
  float* y;           ///< [tokens, rows]
  bool adds = false;
};

}  // namespace martlet::ops::cpu
