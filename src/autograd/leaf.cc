#include "autograd/leaf.h"

#include "base/error.h"

namespace martlet::autograd {
namespace {

Node& leaf_of(const Tensor& x) {
  if (!is_leaf(x)) failed("{} is no leaf of the tape; call require_gradient on it first", x.to_string());
  return *x.node();
}

}  // namespace

void require_gradient(Tensor& x) {
  if (!x.defined() || !is_floating(x.dtype()))
    failed("a gradient is of f32, bf16 or f16 elements, got {}", x.to_string());
  x.set_node(std::make_shared<Node>("leaf", x));
}

bool is_leaf(const Tensor& x) {
  return x.node() != nullptr && x.node()->is_leaf();
}

const Tensor& gradient_of(const Tensor& x) {
  return leaf_of(x).gradient;
}

void set_gradient(const Tensor& x, const Tensor& gradient) {
  Node& leaf = leaf_of(x);
  if (gradient.defined() && (gradient.shape() != leaf.shape() || gradient.dtype() != leaf.dtype() ||
                             gradient.device() != leaf.device()))
    failed("the gradient of {} cannot be {}", leaf.to_string(), gradient.to_string());
  leaf.gradient = gradient.defined() ? gradient.detach() : Tensor();
}

void on_gradient(const Tensor& x, Hook hook) {
  leaf_of(x).hooks.push_back(std::move(hook));
}

}  // namespace martlet::autograd
