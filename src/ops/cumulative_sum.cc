#include "ops/cumulative_sum.h"

#include <algorithm>
#include <vector>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/check.h"
#include "ops/cpu/row_access.h"
#include "ops/cpu/walk.h"
#include "ops/gather.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct CumulativeSumProblem {
  Tensor x;  ///< along the last dimension
  Tensor y;
};

void run_reference(const CumulativeSumProblem& problem) {
  const Elements x(problem.x);
  Elements y(problem.y);
  const int64_t n = problem.x.dim(-1);
  double sum = 0;
  uint64_t whole = 0;
  for (int64_t i = 0; i < x.count(); ++i) {
    if (i % n == 0) {
      sum = 0;
      whole = 0;
    }
    if (is_floating(problem.x.dtype())) {
      y.set(i, sum += x[i]);
    } else {
      y.set_integer(i, static_cast<int64_t>(whole += static_cast<uint64_t>(x.integer(i))));
    }
  }
}

/// One row, in pieces that fit a buffer. The sum passes from element to element, which no vector helps.
void run_row(const cpu::RowKernels& kernels, const CumulativeSumProblem& problem, const cpu::Rows& x,
             const cpu::Rows& y, int64_t row) {
  const DType from = problem.x.dtype();
  const DType to = problem.y.dtype();
  const std::byte* source = problem.x.host_bytes() + x.offset(row);
  std::byte* target = problem.y.mutable_host_bytes() + y.offset(row);
  double sum = 0;
  uint64_t whole = 0;
  for (int64_t begin = 0; begin < x.length(); begin += cpu::kPiece) {
    const int64_t count = std::min(cpu::kPiece, x.length() - begin);
    const std::byte* piece = source + begin * x.stride() * size_of(from);
    std::byte* place = target + begin * y.stride() * size_of(to);
    if (is_floating(from)) {
      float buffer[cpu::kPiece];
      const float* values = cpu::read_floats(kernels, from, piece, x.stride(), count, buffer);
      float sums[cpu::kPiece];
      for (int64_t i = 0; i < count; ++i) sums[i] = static_cast<float>(sum += static_cast<double>(values[i]));
      cpu::write_floats(kernels, sums, count, to, place, y.stride());
    } else {
      int64_t values[cpu::kPiece];
      cpu::read_integers(from, piece, x.stride(), count, values);
      for (int64_t i = 0; i < count; ++i)
        values[i] = static_cast<int64_t>(whole += static_cast<uint64_t>(values[i]));
      cpu::write_integers(values, count, to, place, y.stride());
    }
  }
}

void run_cpu(const CumulativeSumProblem& problem) {
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const cpu::Rows x(problem.x);
  const cpu::Rows y(problem.y);
  parallel_for(x.count(), cpu::row_grain(x.length()), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) run_row(kernels, problem, x, y, row);
  });
}

constexpr Kernel<CumulativeSumProblem> kKernels[] = {
    {"rows", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

Tensor reversed(const Tensor& x, int dim) {
  std::vector<int64_t> order(static_cast<size_t>(x.dim(dim)));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(order.size() - 1 - i);
  return index_select(x, dim, Tensor::from(order, {x.dim(dim)}, x.device()));
}

/// dx[i] = dy[i] + dy[i + 1] + ...: the sums from the other end.
void record(const Tensor& x, int dim, Tensor& y) {
  autograd::record(y, "cumulative_sum", {&x}, [dim](const Tensor& dy, autograd::Gradients& inputs) {
    inputs.add(0, reversed(cumulative_sum(reversed(dy, dim), dim), dim));
  });
}

}  // namespace

Tensor cumulative_sum(const Tensor& x, int dim) {
  const int along = require_dimension("cumulative_sum", x, dim);
  if (!is_floating(x.dtype())) require_integers("cumulative_sum", "x", x);
  Tensor y = Tensor::empty(x.shape(), is_floating(x.dtype()) ? x.dtype() : DType::kI64, x.device());
  const CumulativeSumProblem problem{x.detach().transpose(along, -1), y.transpose(along, -1)};
  if (x.element_count() > 0)
    choose<CumulativeSumProblem>("cumulative_sum", kKernels, x.device(), problem).run(problem);
  if (autograd::needed(x)) record(x, along, y);
  return y;
}

Cost cumulative_sum_cost(const Shape& x, DType dtype) {
  const double count = static_cast<double>(x.element_count());
  const double bytes = count * static_cast<double>(size_of(dtype));
  return {count, bytes, is_floating(dtype) ? bytes : 8 * count};
}

}  // namespace martlet::ops
