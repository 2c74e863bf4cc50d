#include "ops/matmul.h"

#include "autograd/arithmetic.h"
#include "autograd/backward.h"
#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/check.h"
#include "ops/cpu/matmul_kernels.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

/// Two factors and the result, all with the same dimensions in front.
struct MatmulProblem {
  Tensor a;  ///< [.., m, k], any layout
  Tensor b;  ///< [.., k, n], any layout
  Tensor y;  ///< [.., m, n], contiguous
  bool add;  ///< to what y holds

  int64_t m() const { return a.dim(-2); }
  int64_t k() const { return a.dim(-1); }
  int64_t n() const { return b.dim(-1); }
};

bool is_narrow(const MatmulProblem& problem) {
  return problem.a.dtype() == DType::kBF16 && problem.b.dtype() == DType::kBF16;
}

Cost cost_of(const MatmulProblem& problem) {
  const int64_t batch = problem.y.element_count() / std::max<int64_t>(1, problem.m() * problem.n());
  Cost cost = matmul_cost(batch, problem.m(), problem.k(), problem.n(), problem.b.dtype());
  cost.kind = name_of(is_narrow(problem) ? DType::kBF16 : DType::kF32);
  return cost;
}

/// The definition: every output is the sum over k in double, rounded once.
void run_reference(const MatmulProblem& problem) {
  const Elements a(problem.a.contiguous());
  const Elements b(problem.b.contiguous());
  Elements y(problem.y);
  const int64_t m = problem.m();
  const int64_t k = problem.k();
  const int64_t n = problem.n();
  for (int64_t i = 0; i < y.count(); ++i) {
    const int64_t batch = i / (m * n);
    double sum = problem.add ? y[i] : 0.0;
    for (int64_t l = 0; l < k; ++l) sum += a[i / n * k + l] * b[(batch * k + l) * n + i % n];
    y.set(i, sum);
  }
}

/// The matrix at a number of the dimensions in front.
Tensor matrix_at(Tensor tensor, int64_t number) {
  while (tensor.rank() > 2) {
    const int last = tensor.rank() - 3;
    const int64_t size = tensor.dim(last);
    tensor = tensor.select(last, number % size);
    number /= size;
  }
  return tensor;
}

void run_cpu(const MatmulProblem& problem) {
  if (problem.y.element_count() == 0) return;
  const int64_t batch = problem.y.element_count() / (problem.m() * problem.n());
  const cpu::MatmulKernels& kernels = cpu::matmul_kernels(is_narrow(problem) ? DType::kBF16 : DType::kF32);
  const auto multiply_one = [&](int64_t i) {
    cpu::multiply_matrices(kernels, matrix_at(problem.a, i), matrix_at(problem.b, i), nullptr,
                           matrix_at(problem.y, i), problem.add);
  };
  // Many products go one to a thread, few share the threads; each sum is the same.
  if (batch >= thread_count() && batch > 1) {
    parallel_for(batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) multiply_one(i);
    });
  } else {
    for (int64_t i = 0; i < batch; ++i) multiply_one(i);
  }
}

constexpr Kernel<MatmulProblem> kKernels[] = {
    {"cpu", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

/// The result's shape.
Shape check(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) failed("matmul takes two tensors, got nothing");
  for (const Tensor* factor : {&a, &b})
    if (factor->dtype() != DType::kF32 && factor->dtype() != DType::kBF16)
      failed("matmul takes factors of f32 or bf16, got {}", factor->to_string());
  require_one_device("matmul", {&a, &b});
  if (a.rank() < 2 || b.rank() < 2 || a.dim(-1) != b.dim(-2))
    failed("matmul takes [.., m, k] and [.., k, n], got {} and {}", a.shape().to_string(),
           b.shape().to_string());
  const Shape front = broadcast(a.shape().without(-1).without(-1), b.shape().without(-1).without(-1));
  return front.with_inserted(front.rank(), a.dim(-2)).with_inserted(front.rank() + 1, b.dim(-1));
}

/// With the dimensions in front of `like`.
Tensor expanded(const Tensor& factor, const Shape& like) {
  Shape shape = like;
  shape[like.rank() - 2] = factor.dim(-2);
  shape[like.rank() - 1] = factor.dim(-1);
  return factor.expand(shape);
}

void run(const Tensor& a, const Tensor& b, const Tensor& y, bool add) {
  // One b for all: the rows of every a follow each other in one product.
  const bool one = b.rank() == 2 && a.rank() > 2 && a.is_contiguous() && a.element_count() > 0;
  const MatmulProblem problem =
      one ? MatmulProblem{a.reshape({-1, a.dim(-1)}), b, y.reshape({-1, y.dim(-1)}), add}
          : MatmulProblem{expanded(a, y.shape()), expanded(b, y.shape()), y, add};
  choose<MatmulProblem>("matmul", kKernels, a.device(), problem).run(problem);
}

/// da = dy b^T and db = a^T dy, summed where a or b was broadcast.
void record(const Tensor& a, const Tensor& b, Tensor& y) {
  autograd::record(
      y, "matmul", {&a, &b}, [a = a.detach(), b = b.detach()](const Tensor& dy, autograd::Gradients& inputs) {
        if (inputs.needs(0))
          inputs.add(0, autograd::sum_to_shape(matmul(dy, b.transpose(-2, -1), a.dtype()), a.shape()));
        if (inputs.needs(1))
          inputs.add(1, autograd::sum_to_shape(matmul(a.transpose(-2, -1), dy, b.dtype()), b.shape()));
      });
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, std::optional<DType> result) {
  const Shape shape = check(a, b);
  const DType dtype = result.value_or(a.dtype());
  if (dtype != DType::kF32 && dtype != DType::kBF16)
    failed("matmul gives f32 or bf16, asked for {}", name_of(dtype));
  Tensor y = Tensor::empty(shape, dtype, a.device());
  if (y.element_count() > 0) run(a.detach(), b.detach(), y, false);
  if (autograd::needed(a, b)) record(a, b, y);
  return y;
}

void matmul_add_in_place(const Tensor& sum, const Tensor& a, const Tensor& b) {
  const Shape shape = check(a, b);
  require_one_device("matmul", {&a, &sum});
  if (!sum.defined() || sum.dtype() != DType::kF32 || sum.shape() != shape || !sum.is_contiguous())
    failed("matmul adds to a contiguous f32 {}, got {}", shape.to_string(), sum.to_string());
  if (sum.element_count() > 0) run(a, b, sum, true);
}

Cost matmul_cost(int64_t batch, int64_t m, int64_t k, int64_t n, DType dtype) {
  const auto count = static_cast<double>(batch);
  const double rows = static_cast<double>(m);
  const double inner = static_cast<double>(k);
  const double columns = static_cast<double>(n);
  const double size = static_cast<double>(size_of(dtype));
  return {2 * count * rows * inner * columns, size * count * (rows * inner + inner * columns),
          size * count * rows * columns};
}

}  // namespace martlet::ops
