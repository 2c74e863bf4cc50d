#include "ops/mixed_linear.h"

#include "autograd/backward.h"
#include "autograd/record.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/check.h"
#include "ops/matmul.h"
#include "ops/mixed_matmul.h"
#include "ops/reduce.h"

namespace martlet::ops {
namespace {

Tensor as_matrix(const Tensor& x) {
  return x.contiguous().reshape({x.shape().without(-1).element_count(), x.dim(-1)});
}

void check(const Tensor& x, const Weight& weight, const Tensor& bias, DType factors) {
  if (factors != DType::kBF16 && factors != DType::kF16)
    failed("mixed_linear rounds factors to bf16 or f16, not to {}", name_of(factors));
  if (!x.defined() || !weight.defined()) failed("mixed_linear takes a tensor and a weight, got nothing");
  require_floating("mixed_linear", "x", x);
  if (weight.is_packed() || weight.storage().dtype() != DType::kF32)
    failed("mixed_linear takes a dense f32 weight, got {}", weight.type_name());
  if (x.rank() < 1 || x.dim(-1) != weight.columns())
    failed("mixed_linear of a weight {} takes x [..., {}], got {}", weight.shape().to_string(),
           weight.columns(), x.shape().to_string());
  require_one_device("mixed_linear", {&x, &weight.storage()});
  if (bias.defined() && (bias.shape() != Shape{weight.rows()} || bias.dtype() != DType::kF32))
    failed("mixed_linear takes a bias f32[{}], got {}", weight.rows(), bias.to_string());
}

Tensor f16_product(const Tensor& a, const Tensor& b, DType result, const Tensor& bias = {}) {
  Tensor y = matmul(a, b, DType::kF32);
  if (bias.defined()) add_in_place(y, bias);
  return cast(y, result);
}

/// As below, of f16. Of x nothing is saved but itself, which other layers may save too.
void record_f16(Tensor& y, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  autograd::record(
      y, "mixed_linear", {&x, &weight, &bias},
      [x = x.detach(), w = weight.detach()](const Tensor& gradient, autograd::Gradients& inputs) {
        const Tensor dy = rounded_to_f16(as_matrix(gradient));
        if (inputs.needs(0)) inputs.add(0, f16_product(dy, rounded_to_f16(w), x.dtype()).reshape(x.shape()));
        if (inputs.needs(1)) {
          const Tensor turned = dy.transpose(0, 1);
          const Tensor factor = rounded_to_f16(as_matrix(x));
          inputs.add_into_or_set(
              1, [&] { return f16_product(turned, factor, DType::kF32); },
              [&](Tensor& sum) { matmul_add_in_place(sum, turned, factor); });
        }
        if (inputs.needs(2)) inputs.add(2, sum(dy, {0}));
      });
}

void record(Tensor& y, const Tensor& x, const Tensor& narrow, const Tensor& weight, const Tensor& bias) {
  autograd::record(y, "mixed_linear", {&x, &weight, &bias},
                   [shape = x.shape(), dtype = x.dtype(), narrow, w = weight.detach()](
                       const Tensor& gradient, autograd::Gradients& inputs) {
                     const Tensor dy = cast(as_matrix(gradient), DType::kBF16);
                     if (inputs.needs(0)) inputs.add(0, mixed_matmul(dy, w, dtype).reshape(shape));
                     const Tensor turned = dy.transpose(0, 1);
                     if (inputs.needs(1))
                       inputs.add_into_or_set(
                           1, [&] { return mixed_matmul(turned, narrow, DType::kF32); },
                           [&](Tensor& sum) { matmul_add_in_place(sum, turned, narrow); });
                     if (inputs.needs(2)) inputs.add(2, sum(cast(dy, DType::kF32), {0}));
                   });
}

}  // namespace

Tensor mixed_linear(const Tensor& x, const Weight& weight, const Tensor& bias, DType factors) {
  check(x, weight, bias, factors);
  const Tensor& matrix = weight.storage();
  Shape shape = x.shape();
  shape[x.rank() - 1] = weight.rows();
  if (factors == DType::kF16) {
    Tensor y = f16_product(rounded_to_f16(as_matrix(x.detach())),
                           rounded_to_f16(matrix.detach()).transpose(0, 1), DType::kF32, bias.detach())
                   .reshape(shape);
    if (autograd::needed(x, matrix, bias)) record_f16(y, x, matrix, bias);
    return y;
  }
  const Tensor narrow = cast(as_matrix(x.detach()), DType::kBF16);
  Tensor y =
      mixed_matmul(narrow, matrix.detach().transpose(0, 1), DType::kBF16, bias.detach()).reshape(shape);
  if (autograd::needed(x, matrix, bias)) record(y, x, narrow, matrix, bias);
  return y;
}

}  // namespace martlet::ops
