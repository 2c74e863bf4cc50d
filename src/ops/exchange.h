#pragma once

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// Each tensor gets the elements of the other, where they are; nothing is allocated. Both dense, of one
/// shape, dtype and device.
void exchange(const Tensor& a, const Tensor& b);
Cost exchange_cost(const Shape& shape, DType dtype);

}  // namespace martlet::ops
