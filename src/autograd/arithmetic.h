#pragma once

// The little arithmetic that the tape needs itself. Elements are the business of `ops`, which stands below
// this room: it defines these functions (ops/gradient_arithmetic.cc).

#include "tensor/tensor.h"

namespace martlet::autograd {

/// sum += term, element by element, any layouts.
void add_to_gradient(const Tensor& sum, const Tensor& term);

/// The gradient of what was broadcast: `gradient` summed over the dimensions that broadcasting from `shape`
/// added or stretched. Itself where there are none.
Tensor sum_to_shape(const Tensor& gradient, const Shape& shape);

}  // namespace martlet::autograd
