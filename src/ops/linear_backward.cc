#include "ops/linear_backward.h"

#include "autograd/backward.h"
#include "autograd/record.h"
#include "ops/cast.h"
#include "ops/linear.h"
#include "ops/reduce.h"

namespace martlet::ops {
namespace {

Tensor transposed(const Tensor& matrix) {
  return matrix.transpose(0, 1).contiguous();
}

Tensor as_matrix(const Tensor& x) {
  const int64_t columns = x.dim(-1);
  return x.contiguous().reshape({columns == 0 ? 0 : x.element_count() / columns, columns});
}

/// dy: [tokens, rows]; result: [tokens, columns] of dy's dtype.
Tensor gradient_of_x(const Tensor& dy, const Weight& weight) {
  const Tensor dense = weight.is_packed() ? weight.unpack() : weight.dense().detach();
  return linear(dy, Weight(transposed(dense)));
}

/// dy: [tokens, rows], x: [tokens, columns]; result: [rows, columns] of `dtype`. A sum for an f32 weight is
/// f32 to its end.
Tensor gradient_of_weight(const Tensor& dy, const Tensor& x, DType dtype) {
  const Tensor rows = transposed(dtype == DType::kF32 ? cast(dy, dtype) : dy);
  return cast(linear(rows, Weight(transposed(x))), dtype);
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
                     if (inputs.needs(0)) inputs.add(0, gradient_of_x(dy, kept).reshape(shape));
                     if (learns) inputs.add(1, gradient_of_weight(dy, as_matrix(x), kept.storage().dtype()));
                     if (inputs.needs(2)) inputs.add(2, cast(sum(dy, {0}), DType::kF32));
                   });
}

}  // namespace martlet::ops
