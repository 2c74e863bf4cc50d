#include "ops/mixed_matmul.h"

#include "ops/cast.h"
#include "ops/check.h"
#include "ops/cpu/matmul_kernels.h"
#include "ops/kernel.h"
#include "ops/matmul.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct MixedProblem {
  Tensor a;
  Tensor b;
  Tensor bias;  ///< contiguous, or nothing
  Tensor y;
};

Cost cost_of(const MixedProblem& problem) {
  Cost cost = matmul_cost(1, problem.a.dim(0), problem.a.dim(1), problem.b.dim(1), DType::kBF16);
  cost.kind = name_of(DType::kBF16);
  return cost;
}

/// The definition: every output is the sum over k of products of rounded factors, in double.
void run_reference(const MixedProblem& problem) {
  const Elements a(problem.a);
  const Elements b(problem.b);
  Elements y(problem.y);
  const int64_t k = problem.a.dim(1);
  const int64_t n = problem.b.dim(1);
  const auto rounded = [](double value) {
    return static_cast<double>(to_float(to_bf16(static_cast<float>(value))));
  };
  for (int64_t i = 0; i < y.count(); ++i) {
    double sum = problem.bias.defined() ? Elements(problem.bias)[i % n] : 0.0;
    for (int64_t l = 0; l < k; ++l) sum += rounded(a[i / n * k + l]) * rounded(b[l * n + i % n]);
    y.set(i, sum);
  }
}

void run_cpu(const MixedProblem& problem) {
  cpu::multiply_matrices(cpu::matmul_kernels(DType::kBF16), problem.a, problem.b,
                         problem.bias.defined() ? problem.bias.data<float>() : nullptr, problem.y);
}

constexpr Kernel<MixedProblem> kKernels[] = {
    {"cpu", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

}  // namespace

Tensor mixed_matmul(const Tensor& a, const Tensor& b, DType result, const Tensor& bias) {
  require_one_device("mixed_matmul", {&a, &b});
  for (const Tensor* factor : {&a, &b})
    if ((factor->dtype() != DType::kF32 && factor->dtype() != DType::kBF16) || factor->rank() != 2)
      failed("mixed_matmul takes matrices of f32 or bf16, got {}", factor->to_string());
  if (a.dim(1) != b.dim(0))
    failed("mixed_matmul takes [m, k] and [k, n], got {} and {}", a.shape().to_string(),
           b.shape().to_string());
  const Tensor y = Tensor::empty({a.dim(0), b.dim(1)}, result, a.device());
  if (y.element_count() == 0) return y;
  const MixedProblem problem{a.detach(), b.detach(), bias.defined() ? bias.detach().contiguous() : bias, y};
  choose<MixedProblem>("mixed_matmul", kKernels, a.device(), problem).run(problem);
  return y;
}

Tensor rounded_to_f16(const Tensor& matrix) {
  if (matrix.rank() == 2 && matrix.strides()[0] == 1 && matrix.strides()[1] != 1)
    return rounded_to_f16(matrix.transpose(0, 1)).transpose(0, 1);
  return cast(cast(matrix.detach(), DType::kF16), DType::kF32);
}

}  // namespace martlet::ops
