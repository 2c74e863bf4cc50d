#include "ops/linear_backward.h"

#include "autograd/backward.h"
#include "autograd/record.h"
#include "ops/cast.h"
#include "ops/linear_gradient.h"
#include "ops/reduce.h"

namespace martlet::ops {
namespace {

Tensor as_matrix(const Tensor& x) {
  return x.contiguous().reshape({x.shape().without(-1).element_count(), x.dim(-1)});
}

}  // namespace

void record_linear(Tensor& y, const Tensor& x, const Weight& weight, const Tensor& bias) {
  const Tensor& matrix = weight.storage();
  const bool learns = matrix.node() != nullptr;
  Weight kept = weight;
  kept.forget_gradient();
  autograd::record(y, "linear", {&x, &matrix, &bias},
                   [shape = x.shape(), x = learns ? x.detach() : Tensor(), kept, learns](
                       const Tensor& gradient, autograd::Gradients& inputs) {
                     const Tensor dy = as_matrix(gradient);
                     if (inputs.needs(0)) inputs.add(0, linear_input_gradient(dy, kept).reshape(shape));
                     const DType dtype = kept.storage().dtype();
                     if (learns && dtype == DType::kF32) {
                       inputs.add_into_or_set(
                           1, [&] { return linear_weight_gradient(dy, as_matrix(x)); },
                           [&](Tensor& sum) { add_linear_weight_gradient(sum, dy, as_matrix(x)); });
                     } else if (learns) {
                       inputs.add(1, cast(linear_weight_gradient(dy, as_matrix(x)), dtype));
                     }
                     if (inputs.needs(2)) inputs.add(2, cast(sum(dy, {0}), DType::kF32));
                   });
}

}  // namespace martlet::ops
