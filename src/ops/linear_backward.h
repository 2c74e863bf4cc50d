#pragma once

#include "ops/weight.h"

namespace martlet::ops {

/// Records y = x W^T + bias. dx = dy W; dW = dy^T x, of a dense weight; dbias: the sum of dy's rows.
void record_linear(Tensor& y, const Tensor& x, const Weight& weight, const Tensor& bias);

}  // namespace martlet::ops
