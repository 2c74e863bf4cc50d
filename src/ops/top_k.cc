#include "ops/top_k.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/check.h"
#include "ops/cpu/row_access.h"
#include "ops/cpu/walk.h"
#include "ops/reference.h"
#include "ops/scatter.h"

namespace martlet::ops {
namespace {

struct TopKProblem {
  Tensor x;
  int64_t k;
  Tensor values;   ///< contiguous
  Tensor indices;  ///< contiguous
};

template <typename T>
struct Candidate {
  T value;
  int64_t index;
};

/// Whether a comes before b in the result.
template <typename T>
bool before(const Candidate<T>& a, const Candidate<T>& b) {
  const bool nan_a = std::isnan(a.value);
  const bool nan_b = std::isnan(b.value);
  if (nan_a != nan_b) return nan_a;
  if (!nan_a && a.value != b.value) return a.value > b.value;
  return a.index < b.index;
}

void run_reference(const TopKProblem& problem) {
  const Elements x(problem.x);
  Elements values(problem.values);
  Elements indices(problem.indices);
  const int64_t n = problem.x.dim(-1);
  std::vector<Candidate<double>> row(static_cast<size_t>(n));
  for (int64_t i = 0; i < values.count() / problem.k; ++i) {
    for (int64_t j = 0; j < n; ++j) row[static_cast<size_t>(j)] = {x[i * n + j], j};
    std::sort(row.begin(), row.end(), before<double>);
    for (int64_t j = 0; j < problem.k; ++j) {
      values.set(i * problem.k + j, row[static_cast<size_t>(j)].value);
      indices.set_integer(i * problem.k + j, row[static_cast<size_t>(j)].index);
    }
  }
}

/// The best k so far as a heap with the worst on top. A piece whose vectorised maximum does not beat the
/// worst is passed over, which is nearly every one of a long row.
void top_of_row(const cpu::RowKernels& kernels, DType dtype, const std::byte* row, int64_t stride, int64_t n,
                int64_t k, std::vector<Candidate<float>>& best) {
  best.clear();
  alignas(64) float buffer[cpu::kPiece];
  for (int64_t begin = 0; begin < n; begin += cpu::kPiece) {
    const int64_t count = std::min(cpu::kPiece, n - begin);
    const float* values =
        cpu::read_floats(kernels, dtype, row + begin * stride * size_of(dtype), stride, count, buffer);
    const bool full = static_cast<int64_t>(best.size()) == k;
    if (full && !before({kernels.largest(values, count), begin}, best.front())) continue;
    for (int64_t i = 0; i < count; ++i) {
      const Candidate<float> candidate{values[i], begin + i};
      if (static_cast<int64_t>(best.size()) < k) {
        best.push_back(candidate);
      } else if (before(candidate, best.front())) {
        std::pop_heap(best.begin(), best.end(), before<float>);
        best.back() = candidate;
      } else {
        continue;
      }
      std::push_heap(best.begin(), best.end(), before<float>);
    }
  }
  std::sort_heap(best.begin(), best.end(), before<float>);
}

void run_cpu(const TopKProblem& problem) {
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const DType dtype = problem.x.dtype();
  const cpu::Rows x(problem.x);
  const std::byte* from = problem.x.host_bytes();
  std::byte* values = problem.values.mutable_host_bytes();
  int64_t* indices = problem.indices.mutable_data<int64_t>();
  parallel_for(x.count(), cpu::row_grain(x.length()), [&](int64_t begin, int64_t end) {
    std::vector<Candidate<float>> best;
    std::vector<float> floats(static_cast<size_t>(problem.k));
    for (int64_t row = begin; row < end; ++row) {
      top_of_row(kernels, dtype, from + x.offset(row), x.stride(), x.length(), problem.k, best);
      for (int64_t i = 0; i < problem.k; ++i) {
        floats[static_cast<size_t>(i)] = best[static_cast<size_t>(i)].value;
        indices[row * problem.k + i] = best[static_cast<size_t>(i)].index;
      }
      cpu::write_floats(kernels, floats.data(), problem.k, dtype, values + row * problem.k * size_of(dtype),
                        1);
    }
  });
}

constexpr Kernel<TopKProblem> kKernels[] = {
    {"rows", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

}  // namespace

TopK top_k(const Tensor& x, int64_t k) {
  require_floating("top_k", "x", x);
  require_rows("top_k", x);
  if (k < 0 || k > x.dim(-1))
    failed("top_k takes k from 0 to {} for {}, got {}", x.dim(-1), x.to_string(), k);
  Shape shape = x.shape();
  shape[x.rank() - 1] = k;
  TopK top{Tensor::empty(shape, x.dtype(), x.device()), Tensor::empty(shape, DType::kI64, x.device())};
  const TopKProblem problem{x, k, top.values, top.indices};
  if (top.values.element_count() > 0)
    choose<TopKProblem>("top_k", kKernels, x.device(), problem).run(problem);
  if (autograd::needed(x))
    autograd::record(top.values, "top_k", {&x},
                     [indices = top.indices](const Tensor& gradient, autograd::Gradients& inputs) {
                       inputs.add_into(
                           0, [&](Tensor& sum) { scatter_add_in_place(sum, -1, indices, gradient); });
                     });
  return top;
}

Cost top_k_cost(const Shape& x, DType dtype, int64_t k) {
  const double count = static_cast<double>(x.element_count());
  const double rows = count / static_cast<double>(std::max<int64_t>(1, x.dim(-1)));
  const double bytes = static_cast<double>(size_of(dtype));
  return {count, count * bytes, rows * static_cast<double>(k) * (bytes + 8)};
}

}  // namespace martlet::ops
