#pragma once

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// average += fresh (value - average), element by element where the average is: an exponential moving average
/// whose newest value counts `fresh`, from 0 to 1. Both f32, dense, of one shape and device. The bits do not
/// depend on threads.
void moving_average(const Tensor& average, const Tensor& value, double fresh);
Cost moving_average_cost(const Shape& shape);

}  // namespace martlet::ops
