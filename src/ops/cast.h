#pragma once

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// The elements as another dtype: x itself when it is that dtype already, else a dense copy. To a floating
/// dtype: rounded to nearest even (64-bit integers by way of f32 for 16-bit dtypes). To integers: towards
/// zero, out of range saturates, NaN gives 0; between integers the lower bits stay. To bool: "not zero".
Tensor cast(const Tensor& x, DType dtype);
Cost cast_cost(const Shape& x, DType from, DType to);

}  // namespace martlet::ops
