#include "ops/linear_gradient.h"

#include "ops/matmul.h"

namespace martlet::ops {
namespace {

Tensor as_matrix(const Tensor& x) {
  return x.contiguous().reshape({x.shape().without(-1).element_count(), x.dim(-1)});
}

void check(const Tensor& dy, const Tensor& x) {
  if (!dy.defined() || !x.defined()) failed("linear's weight gradient takes dy and x, got nothing");
  if (dy.rank() < 1 || x.rank() != dy.rank() || x.shape().without(-1) != dy.shape().without(-1))
    failed(
        "linear's weight gradient takes dy [.., rows] and x [.., columns] of the same tokens, got {} and {}",
        dy.shape().to_string(), x.shape().to_string());
}

}  // namespace

Tensor linear_input_gradient(const Tensor& dy, const Weight& weight) {
  if (!dy.defined() || !weight.defined())
    failed("linear's input gradient takes dy and a weight, got nothing");
  if (dy.rank() < 1 || dy.dim(-1) != weight.rows())
    failed("linear's input gradient for a weight {} takes dy [.., {}], got {}", weight.shape().to_string(),
           weight.rows(), dy.shape().to_string());
  const bool plain = !weight.is_packed() && weight.type_name() != name_of(DType::kF16);
  const Tensor matrix = plain ? weight.dense() : weight.unpack();
  if (dy.rank() > 1) return matmul(dy, matrix);
  return matmul(dy.unsqueeze(0), matrix).squeeze(0);
}

Tensor linear_weight_gradient(const Tensor& dy, const Tensor& x) {
  check(dy, x);
  return matmul(as_matrix(dy).transpose(0, 1), as_matrix(x), DType::kF32);
}

void add_linear_weight_gradient(const Tensor& dw, const Tensor& dy, const Tensor& x) {
  check(dy, x);
  matmul_add_in_place(dw, as_matrix(dy).transpose(0, 1), as_matrix(x));
}

}  // namespace martlet::ops
