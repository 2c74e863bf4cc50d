#pragma once

// Leaves: the values that gradients are wanted of. A leaf's gradient adds up over backward calls until it is
// cleared.

#include "autograd/node.h"

namespace martlet::autograd {

/// Makes x (f32, bf16 or f16) a leaf: what is computed from it from here on is recorded. A node that it had
/// is let go. Copies of x made before are no leaves.
void require_gradient(Tensor& x);
/// Whether x is a leaf.
bool is_leaf(const Tensor& x);

/// The sum of the gradients so far, dense, of x's shape, dtype and device; undefined when there is none.
/// Throws unless x is a leaf.
const Tensor& gradient_of(const Tensor& x);
/// Replaces it; an undefined tensor clears it.
void set_gradient(const Tensor& x, const Tensor& gradient);
inline void clear_gradient(const Tensor& x) {
  set_gradient(x, {});
}
/// `hook` is called in every backward that reaches the leaf x, once its gradient has no more to come. Hooks
/// run in the order in which they were added.
void on_gradient(const Tensor& x, Hook hook);

}  // namespace martlet::autograd
