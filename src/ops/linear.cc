#include "ops/linear.h"

#include "autograd/record.h"
#include "ops/cpu/linear_kernels.h"
#include "ops/linear_backward.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct LinearProblem {
  Tensor x;  ///< [tokens, columns], contiguous
  const Weight& weight;
  Tensor bias;  ///< contiguous, or nothing
  Tensor y;     ///< [tokens, rows]
};

Cost cost_of(const LinearProblem& problem) {
  Cost cost = linear_cost(problem.x.dim(0), problem.weight);
  cost.kind = problem.weight.type_name();
  return cost;
}

/// The definition: every output is the sum over k in double, rounded once.
void run_reference(const LinearProblem& problem) {
  const Tensor unpacked = problem.weight.is_packed() ? problem.weight.unpack() : problem.weight.dense();
  const Elements x(problem.x);
  const Elements w(unpacked);
  Elements y(problem.y);
  const int64_t rows = problem.weight.rows();
  const int64_t columns = problem.weight.columns();
  for (int64_t i = 0; i < y.count(); ++i) {
    double sum = problem.bias.defined() ? Elements(problem.bias)[i % rows] : 0.0;
    for (int64_t k = 0; k < columns; ++k) sum += x[i / rows * columns + k] * w[i % rows * columns + k];
    y.set(i, sum);
  }
}

void run_cpu(const LinearProblem& problem) {
  const cpu::LinearKernels& kernels = cpu::linear_kernels(problem.weight.type_name(), problem.x.dtype());
  cpu::multiply(kernels, problem.x, problem.weight,
                problem.bias.defined() ? problem.bias.data<float>() : nullptr, problem.y);
}

constexpr Kernel<LinearProblem> kKernels[] = {
    {"cpu", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

void check(const Tensor& x, const Weight& weight, const Tensor& bias) {
  if (!x.defined() || !weight.defined()) failed("linear takes a tensor and a weight, got nothing");
  if (x.dtype() != DType::kF32 && x.dtype() != DType::kBF16)
    failed("linear takes x of f32 or bf16, got {}", x.to_string());
  if (x.rank() < 1 || x.dim(-1) != weight.columns())
    failed("linear of a weight {} takes x [..., {}], got {}", weight.shape().to_string(), weight.columns(),
           x.shape().to_string());
  if (x.device() != weight.device())
    failed("linear has x on {} and its weight on {}", name_of(x.device()), name_of(weight.device()));
  if (bias.defined() &&
      (bias.shape() != Shape{weight.rows()} || bias.dtype() != DType::kF32 || bias.device() != x.device()))
    failed("linear takes a bias f32[{}] on {}, got {}", weight.rows(), name_of(x.device()), bias.to_string());
}

}  // namespace

Tensor linear(const Tensor& x, const Weight& weight, const Tensor& bias) {
  check(x, weight, bias);
  Shape shape = x.shape();
  shape[x.rank() - 1] = weight.rows();
  int64_t tokens = 1;
  for (int dim = 0; dim + 1 < x.rank(); ++dim) tokens *= x.dim(dim);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  const LinearProblem problem{x.detach().contiguous().reshape({tokens, weight.columns()}), weight,
                              bias.defined() ? bias.contiguous() : bias, y.reshape({tokens, weight.rows()})};
  choose<LinearProblem>("linear", kKernels, x.device(), problem).run(problem);
  if (autograd::needed(x, weight.storage(), bias)) record_linear(y, x, weight, bias);
  return y;
}

std::string_view linear_kernel(const Tensor& x, const Weight& weight) {
  check(x, weight, {});
  if (x.device() == Device::kReference) return "reference";
  return cpu::linear_kernels(weight.type_name(), x.dtype()).name;
}

Cost linear_cost(int64_t tokens, const Weight& weight) {
  const double rows = static_cast<double>(weight.rows());
  const double columns = static_cast<double>(weight.columns());
  const double count = static_cast<double>(tokens);
  return {2 * count * rows * columns, static_cast<double>(weight.byte_count()) + 4 * count * columns,
          4 * count * rows};
}

}  // namespace martlet::ops
