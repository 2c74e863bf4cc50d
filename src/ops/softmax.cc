#include "ops/softmax.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/thread_pool.h"
#include "ops/check.h"
#include "ops/cpu/row_access.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct SoftmaxProblem {
  Tensor x;  ///< over the last dimension
  bool logarithm;
  Tensor y;
};

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

Tensor run(std::string_view operation, const Tensor& x, int dim, bool logarithm) {
  require_floating(operation, "x", x);
  const int over = require_dimension(operation, x, dim);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const SoftmaxProblem problem{x.transpose(over, -1), logarithm, y.transpose(over, -1)};
  choose<SoftmaxProblem>(operation, kKernels, x.device(), problem).run(problem);
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
