#include "ops/softmax.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/check.h"
#include "ops/cpu/gradient_kernels.h"
#include "ops/cpu/row_access.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct SoftmaxProblem {
  Tensor x;  ///< over the last dimension
  bool logarithm;
  Tensor y;
};

Cost cost_of(const SoftmaxProblem& problem) {
  return softmax_cost(problem.x.shape(), problem.x.dtype());
}

void run_reference(const SoftmaxProblem& problem) {
  const Elements x(problem.x);
  Elements y(problem.y);
  const int64_t n = problem.x.dim(-1);
  for (int64_t row = 0; row < x.count(); row += n) {
    double most = -INFINITY;
    for (int64_t k = 0; k < n; ++k) most = std::fmax(most, x[row + k]);
    double sum = 0;
    for (int64_t k = 0; k < n; ++k) sum += std::exp(x[row + k] - most);
    for (int64_t k = 0; k < n; ++k) {
      const double difference = x[row + k] - most;
      y.set(row + k, problem.logarithm ? difference - std::log(sum) : std::exp(difference) / sum);
    }
  }
}

void run_cpu(const SoftmaxProblem& problem) {
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const DType dtype = problem.x.dtype();
  const cpu::Rows x(problem.x);
  const cpu::Rows y(problem.y);
  const int64_t n = x.length();
  const std::byte* from = problem.x.host_bytes();
  std::byte* to = problem.y.mutable_host_bytes();
  parallel_for(x.count(), cpu::row_grain(n), [&](int64_t begin, int64_t end) {
    const bool in_place = dtype == DType::kF32 && x.stride() == 1 && y.stride() == 1;
    std::vector<float> buffers(static_cast<size_t>(in_place ? 0 : 2 * n));
    for (int64_t row = begin; row < end; ++row) {
      const float* values =
          cpu::read_floats(kernels, dtype, from + x.offset(row), x.stride(), n, buffers.data());
      std::byte* target = to + y.offset(row);
      float* result = cpu::place_for(dtype, target, y.stride(), buffers.data() + n);
      const float most = kernels.largest(values, n);
      const double sum = kernels.exponentials(values, most, result, n);
      if (problem.logarithm) {
        kernels.normalise(values, most, 1.0f, nullptr, nullptr, result, n);
        kernels.unary({Unary::kShift, static_cast<float>(-std::log(sum))}, result, result, n);
      } else {
        kernels.unary({Unary::kScale, static_cast<float>(1 / sum)}, result, result, n);
      }
      cpu::write_floats(kernels, result, n, dtype, target, y.stride());
    }
  });
}

constexpr Kernel<SoftmaxProblem> kKernels[] = {
    {"rows", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

/// All over the last dimension.
struct GradientProblem {
  Tensor y;
  bool logarithm;
  Tensor dy;
  Tensor dx;
};

Cost cost_of(const GradientProblem& problem) {
  Cost cost = softmax_cost(problem.y.shape(), problem.y.dtype());
  cost.bytes_read *= 2;
  return cost;
}

void run_gradient_reference(const GradientProblem& problem) {
  const Elements y(problem.y);
  const Elements dy(problem.dy);
  Elements dx(problem.dx);
  const int64_t n = problem.y.dim(-1);
  for (int64_t row = 0; row < y.count(); row += n) {
    double sum = 0;
    for (int64_t k = 0; k < n; ++k) sum += problem.logarithm ? dy[row + k] : dy[row + k] * y[row + k];
    for (int64_t k = 0; k < n; ++k)
      dx.set(row + k,
             problem.logarithm ? dy[row + k] - std::exp(y[row + k]) * sum : y[row + k] * (dy[row + k] - sum));
  }
}

void run_gradient_cpu(const GradientProblem& problem) {
  const cpu::RowKernels& rows = cpu::row_kernels();
  const cpu::GradientKernels& kernels = cpu::gradient_kernels();
  const DType dtype = problem.y.dtype();
  const cpu::Rows y(problem.y);
  const cpu::Rows dy(problem.dy);
  const cpu::Rows dx(problem.dx);
  const int64_t n = y.length();
  const std::byte* from_y = problem.y.host_bytes();
  const std::byte* from_dy = problem.dy.host_bytes();
  std::byte* to = problem.dx.mutable_host_bytes();
  parallel_for(y.count(), cpu::row_grain(n), [&](int64_t begin, int64_t end) {
    std::vector<float> buffers(static_cast<size_t>(3 * n));
    for (int64_t row = begin; row < end; ++row) {
      const float* values =
          cpu::read_floats(rows, dtype, from_y + y.offset(row), y.stride(), n, buffers.data());
      const float* gradient =
          cpu::read_floats(rows, dtype, from_dy + dy.offset(row), dy.stride(), n, buffers.data() + n);
      std::byte* target = to + dx.offset(row);
      float* result = cpu::place_for(dtype, target, dx.stride(), buffers.data() + 2 * n);
      if (problem.logarithm) {
        kernels.log_softmax(values, gradient, static_cast<float>(rows.sum(gradient, n)), result, n);
      } else {
        kernels.softmax(values, gradient, static_cast<float>(kernels.dot(values, gradient, n)), result, n);
      }
      cpu::write_floats(rows, result, n, dtype, target, dx.stride());
    }
  });
}

constexpr Kernel<GradientProblem> kGradientKernels[] = {
    {"rows", Device::kCpu, nullptr, run_gradient_cpu},
    {"reference", Device::kReference, nullptr, run_gradient_reference},
};

/// dx = y (dy - sum(dy y)), and dy - exp(y) sum(dy) for the logarithm.
void record(std::string_view operation, const Tensor& x, int dim, bool logarithm, Tensor& y) {
  autograd::record(y, operation, {&x}, [=, y = y.detach()](const Tensor& dy, autograd::Gradients& inputs) {
    Tensor dx = Tensor::empty(y.shape(), y.dtype(), y.device());
    const GradientProblem problem{y.transpose(dim, -1), logarithm, dy.transpose(dim, -1),
                                  dx.transpose(dim, -1)};
    choose<GradientProblem>(operation, kGradientKernels, y.device(), problem).run(problem);
    inputs.add(0, dx);
  });
}

Tensor run(std::string_view operation, const Tensor& x, int dim, bool logarithm) {
  require_floating(operation, "x", x);
  const int over = require_dimension(operation, x, dim);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const SoftmaxProblem problem{x.detach().transpose(over, -1), logarithm, y.transpose(over, -1)};
  choose<SoftmaxProblem>(operation, kKernels, x.device(), problem).run(problem);
  if (autograd::needed(x)) record(operation, x, over, logarithm, y);
  return y;
}

}  // namespace

Tensor softmax(const Tensor& x, int dim) {
  return run("softmax", x, dim, false);
}

Tensor log_softmax(const Tensor& x, int dim) {
  return run("log_softmax", x, dim, true);
}

Cost softmax_cost(const Shape& x, DType dtype) {
  const double count = static_cast<double>(x.element_count());
  const double bytes = count * static_cast<double>(size_of(dtype));
  return {24 * count, bytes, bytes};
}

}  // namespace martlet::ops
