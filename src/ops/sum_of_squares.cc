#include "ops/sum_of_squares.h"

#include <algorithm>
#include <vector>

#include "base/thread_pool.h"
#include "ops/cpu/row_access.h"
#include "ops/cpu/walk.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct SumOfSquaresProblem {
  Tensor x;  ///< dense
  double* sum;
};

Cost cost_of(const SumOfSquaresProblem& problem) {
  return sum_of_squares_cost(problem.x.shape(), problem.x.dtype());
}

void run_reference(const SumOfSquaresProblem& problem) {
  const Elements x(problem.x);
  for (int64_t i = 0; i < x.count(); ++i) *problem.sum += x[i] * x[i];
}

void run_cpu(const SumOfSquaresProblem& problem) {
  constexpr int64_t kBlock = 65536;
  const cpu::RowKernels& rows = cpu::row_kernels();
  const DType dtype = problem.x.dtype();
  const std::byte* from = problem.x.host_bytes();
  const int64_t count = problem.x.element_count();
  std::vector<double> sums(static_cast<size_t>((count + kBlock - 1) / kBlock));
  parallel_for(static_cast<int64_t>(sums.size()), 1, [&](int64_t begin, int64_t end) {
    float buffer[cpu::kPiece];
    for (int64_t block = begin; block < end; ++block) {
      double sum = 0;
      const int64_t last = std::min(count, (block + 1) * kBlock);
      for (int64_t i = block * kBlock; i < last; i += cpu::kPiece) {
        const int64_t piece = std::min(cpu::kPiece, last - i);
        sum += rows.sum_of_squares(cpu::read_floats(rows, dtype, from + i * size_of(dtype), 1, piece, buffer),
                                   0, piece);
      }
      sums[static_cast<size_t>(block)] = sum;
    }
  });
  for (const double sum : sums) *problem.sum += sum;
}

constexpr Kernel<SumOfSquaresProblem> kKernels[] = {
    {"rows", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

}  // namespace

double sum_of_squares(const Tensor& x) {
  if (!x.defined() || !is_floating(x.dtype()))
    failed("sum_of_squares takes a floating tensor, got {}", x.defined() ? x.to_string() : "nothing");
  double sum = 0;
  const SumOfSquaresProblem problem{x.contiguous(), &sum};
  choose<SumOfSquaresProblem>("sum_of_squares", kKernels, x.device(), problem).run(problem);
  return sum;
}

Cost sum_of_squares_cost(const Shape& x, DType dtype) {
  const auto count = static_cast<double>(x.element_count());
  return {2 * count, count * static_cast<double>(size_of(dtype)), 0};
}

}  // namespace martlet::ops
