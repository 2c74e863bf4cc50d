#include "ops/argmax.h"

#include <algorithm>
#include <cmath>

#include "base/thread_pool.h"
#include "ops/check.h"
#include "ops/cpu/row_access.h"
#include "ops/cpu/walk.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct ArgmaxProblem {
  Tensor x;  ///< over the last dimension
  Tensor y;  ///< contiguous
};

bool beats(double value, double best) {
  return value > best || (std::isnan(value) && !std::isnan(best));
}

void run_reference(const ArgmaxProblem& problem) {
  const Elements x(problem.x);
  Elements y(problem.y);
  const int64_t n = problem.x.dim(-1);
  for (int64_t row = 0; row < y.count(); ++row) {
    int64_t best = 0;
    for (int64_t k = 1; k < n; ++k)
      if (beats(x[row * n + k], x[row * n + best])) best = k;
    y.set_integer(row, best);
  }
}

/// Piece by piece: the vectorised maximum of each, then the place in the piece that holds the best.
int64_t argmax_row(const cpu::RowKernels& kernels, DType dtype, const std::byte* row, int64_t stride,
                   int64_t n) {
  const int64_t step = stride * size_of(dtype);
  alignas(64) float buffer[cpu::kPiece];
  float best = 0;
  int64_t best_piece = -1;
  for (int64_t begin = 0; begin < n; begin += cpu::kPiece) {
    const int64_t count = std::min(cpu::kPiece, n - begin);
    const float most =
        kernels.largest(cpu::read_floats(kernels, dtype, row + begin * step, stride, count, buffer), count);
    if (best_piece >= 0 && !beats(static_cast<double>(most), static_cast<double>(best))) continue;
    best = most;
    best_piece = begin;
  }
  const int64_t count = std::min(cpu::kPiece, n - best_piece);
  const float* values = cpu::read_floats(kernels, dtype, row + best_piece * step, stride, count, buffer);
  const float* place = std::find_if(values, values + count, [best](float value) {
    return value == best || (std::isnan(value) && std::isnan(best));
  });
  return best_piece + (place - values);
}

void run_cpu(const ArgmaxProblem& problem) {
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const cpu::Rows x(problem.x);
  const std::byte* from = problem.x.host_bytes();
  int64_t* to = problem.y.mutable_data<int64_t>();
  parallel_for(x.count(), cpu::row_grain(x.length()), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      to[row] = argmax_row(kernels, problem.x.dtype(), from + x.offset(row), x.stride(), x.length());
  });
}

constexpr Kernel<ArgmaxProblem> kKernels[] = {
    {"rows", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

}  // namespace

Tensor argmax(const Tensor& x, int dim, bool keep) {
  require_floating("argmax", "x", x);
  const int over = require_dimension("argmax", x, dim);
  if (x.shape()[over] == 0) failed("argmax takes a dimension of at least one element, got {}", x.to_string());
  // The dimension goes last; the order of the others stays.
  std::array<int, kMaxRank> order{};
  int next = 0;
  for (int d = 0; d < x.rank(); ++d)
    if (d != over) order[static_cast<size_t>(next++)] = d;
  order[static_cast<size_t>(next)] = over;
  const ArgmaxProblem problem{x.permute(std::span<const int>(order.data(), static_cast<size_t>(x.rank()))),
                              Tensor::empty(x.shape().without(over), DType::kI64, x.device())};
  choose<ArgmaxProblem>("argmax", kKernels, x.device(), problem).run(problem);
  return keep ? problem.y.unsqueeze(over) : problem.y;
}

Cost argmax_cost(const Shape& x, DType dtype) {
  const double count = static_cast<double>(x.element_count());
  return {count, count * static_cast<double>(size_of(dtype)),
          8 * count / static_cast<double>(std::max<int64_t>(1, x.dim(-1)))};
}

}  // namespace martlet::ops
