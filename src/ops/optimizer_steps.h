#pragma once

// The updates of optimisers, each one pass over a parameter, its gradient and its moments.
//
// All tensors: f32, dense, of one shape and device; the gradient may be bf16. The parameter and the moments
// are changed where they are. `gradient_scale` multiplies the gradient first, so that clipping by the global
// norm costs no pass of its own. Element by element: the bits do not depend on threads.

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019, with the bias correction of Kingma
/// and Ba, "Adam", 2015:
///   p -= rate * decay * p;  m += (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g^2;
///   p -= rate / (1 - beta1^step) * m / (sqrt(v / (1 - beta2^step)) + epsilon)
struct AdamW {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  double gradient_scale = 1;
  int64_t step = 1;  ///< from 1
};
void adamw_step(const AdamW& options, const Tensor& parameter, const Tensor& gradient,
                const Tensor& first_moment, const Tensor& second_moment);
/// Of one element: what the planner knows.
Cost adamw_cost(int64_t elements);

/// Momentum as PyTorch and Sutskever et al., 2013, have it: p -= rate * decay * p (decoupled here too);
/// b = momentum b + g; p -= rate * (nesterov ? g + momentum b : b). `momentum_buffer` may be undefined when
/// momentum is 0.
struct Sgd {
  double learning_rate = 1e-2;
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;
  double gradient_scale = 1;
};
void sgd_step(const Sgd& options, const Tensor& parameter, const Tensor& gradient,
              const Tensor& momentum_buffer);

/// Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, algorithm 2:
///   p -= rate * decay * p;  p -= rate * sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g
struct Lion {
  double learning_rate = 1e-4;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double weight_decay = 0;
  double gradient_scale = 1;
};
void lion_step(const Lion& options, const Tensor& parameter, const Tensor& gradient, const Tensor& moment);

}  // namespace martlet::ops
