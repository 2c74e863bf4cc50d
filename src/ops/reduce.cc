#include "ops/reduce.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "autograd/arithmetic.h"
#include "autograd/backward.h"
#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/check.h"
#include "ops/cpu/row_access.h"
#include "ops/cpu/walk.h"
#include "ops/reference.h"
#include "ops/unary.h"
#include "ops/where.h"

namespace martlet::ops {
namespace {

struct ReduceProblem {
  Reduction reduction;
  Tensor x;  ///< the kept dimensions, then the reduced ones
  int kept;
  int64_t reduced;  ///< elements that go into one result
  Tensor y;         ///< contiguous, as many elements as the kept dimensions have
};

Cost cost_of(const ReduceProblem& problem) {
  return reduce_cost(problem.x.shape(), problem.x.dtype());
}

double better(Reduction reduction, double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return NAN;
  return reduction == Reduction::kMaximum ? std::max(a, b) : std::min(a, b);
}

int64_t combined(Reduction reduction, int64_t a, int64_t b) {
  if (reduction == Reduction::kMaximum) return std::max(a, b);
  if (reduction == Reduction::kMinimum) return std::min(a, b);
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

void run_reference(const ReduceProblem& problem) {
  const Elements x(problem.x);
  Elements y(problem.y);
  const int64_t n = problem.reduced;
  const bool sums = problem.reduction == Reduction::kSum || problem.reduction == Reduction::kMean;
  for (int64_t i = 0; i < y.count(); ++i) {
    if (!is_floating(problem.x.dtype())) {
      int64_t value = sums ? 0 : x.integer(i * n);
      for (int64_t k = sums ? 0 : 1; k < n; ++k)
        value = combined(problem.reduction, value, x.integer(i * n + k));
      y.set_integer(i, value);
      continue;
    }
    double value = sums ? 0 : x[i * n];
    for (int64_t k = sums ? 0 : 1; k < n; ++k)
      value = sums ? value + x[i * n + k] : better(problem.reduction, value, x[i * n + k]);
    y.set(i, problem.reduction == Reduction::kMean ? value / static_cast<double>(n) : value);
  }
}

/// Neighbouring results computed together, so that reading across rows uses whole cache lines (16 f32).
constexpr int64_t kTogether = 16;
/// Between the blocks of neighbours: not a power of two, which would put all of them in one set of the cache.
constexpr int64_t kPitch = cpu::kSumBlock + 16;

/// What the blocks of one result give so far.
struct Total {
  double value = 0;
  bool any = false;
};

void add_block(const cpu::RowKernels& kernels, Reduction reduction, const float* block, int64_t count,
               Total& total) {
  if (reduction == Reduction::kSum || reduction == Reduction::kMean) {
    total.value += kernels.sum(block, count);
    return;
  }
  const double best = static_cast<double>(reduction == Reduction::kMaximum ? kernels.largest(block, count)
                                                                           : kernels.smallest(block, count));
  total = {total.any ? better(reduction, total.value, best) : best, true};
}

/// Reduced elements [begin, end) of `results` neighbours, `step` elements apart, as rows of `block`. Reads
/// along the reduced dimension where its elements are neighbours, else across it.
void gather_block(const cpu::RowKernels& kernels, DType dtype, const cpu::Walk& reduced,
                  const std::byte* from, int64_t step, int64_t results, int64_t begin, int64_t end,
                  float* block) {
  const int64_t bytes = size_of(dtype);
  const bool along = reduced.stride(0) == 1 || results == 1;
  int64_t filled = 0;
  reduced.pieces(begin, end, [&](const cpu::Walk::Offsets& offsets, int64_t count) {
    const std::byte* piece = from + offsets[0] * bytes;
    for (int64_t i = 0; along && i < results; ++i) {
      float* to = block + i * kPitch + filled;
      const float* values =
          cpu::read_floats(kernels, dtype, piece + i * step * bytes, reduced.stride(0), count, to);
      if (values != to) std::copy(values, values + count, to);
    }
    for (int64_t k = 0; !along && k < count; ++k) {
      float buffer[kTogether];
      const float* values =
          cpu::read_floats(kernels, dtype, piece + k * reduced.stride(0) * bytes, step, results, buffer);
      for (int64_t i = 0; i < results; ++i) block[i * kPitch + filled + k] = values[i];
    }
    filled += count;
  });
}

/// `results` neighbours, the first of which starts at `from`, the others `step` elements apart.
void reduce_together(const cpu::RowKernels& kernels, const ReduceProblem& problem, const cpu::Walk& reduced,
                     const std::byte* from, int64_t step, int64_t results, float* block, float* out) {
  const DType dtype = problem.x.dtype();
  const bool direct = dtype == DType::kF32 && reduced.is_dense(0) && results == 1;
  std::array<Total, kTogether> totals;
  for (int64_t begin = 0; begin < problem.reduced; begin += cpu::kSumBlock) {
    const int64_t end = std::min(problem.reduced, begin + cpu::kSumBlock);
    if (!direct) gather_block(kernels, dtype, reduced, from, step, results, begin, end, block);
    const float* first = direct ? reinterpret_cast<const float*>(from) + begin : block;
    for (int64_t i = 0; i < results; ++i)
      add_block(kernels, problem.reduction, first + i * kPitch, end - begin, totals[static_cast<size_t>(i)]);
  }
  for (int64_t i = 0; i < results; ++i) {
    const double value = totals[static_cast<size_t>(i)].value;
    out[i] = static_cast<float>(
        problem.reduction == Reduction::kMean ? value / static_cast<double>(problem.reduced) : value);
  }
}

int64_t reduce_integers(const ReduceProblem& problem, const cpu::Walk& reduced, const std::byte* from) {
  const DType dtype = problem.x.dtype();
  int64_t total = 0;
  bool any = problem.reduction == Reduction::kSum;
  reduced.pieces(0, problem.reduced, [&](const cpu::Walk::Offsets& offsets, int64_t count) {
    int64_t values[cpu::kPiece];
    cpu::read_integers(dtype, from + offsets[0] * size_of(dtype), reduced.stride(0), count, values);
    for (int64_t i = 0; i < count; ++i) {
      total = any ? combined(problem.reduction, total, values[i]) : values[i];
      any = true;
    }
  });
  return total;
}

/// x at the first of its reduced elements, and at the first of its kept ones; x is not empty.
Tensor kept_part(const ReduceProblem& problem) {
  Tensor part = problem.x;
  while (part.rank() > problem.kept) part = part.select(-1, 0);
  return part;
}
Tensor reduced_part(const ReduceProblem& problem) {
  Tensor part = problem.x;
  for (int i = 0; i < problem.kept; ++i) part = part.select(0, 0);
  return part;
}

void run_cpu(const ReduceProblem& problem) {
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const DType dtype = problem.x.dtype();
  const DType result = problem.y.dtype();
  std::byte* to = problem.y.mutable_host_bytes();
  if (problem.reduced == 0) {
    const float nothing = problem.reduction == Reduction::kMean ? NAN : 0.0f;
    for (int64_t i = 0; i < problem.y.element_count(); ++i)
      cpu::write_floats(kernels, &nothing, 1, result, to + i * size_of(result), 1);
    return;
  }
  if (problem.y.element_count() == 0) return;
  const std::byte* from = problem.x.host_bytes();
  const Tensor kept_tensor = kept_part(problem);
  const Tensor reduced_tensor = reduced_part(problem);
  const cpu::Walk kept(kept_tensor.shape(), {&problem.y, &kept_tensor});
  const cpu::Walk reduced(reduced_tensor.shape(), {&reduced_tensor});
  // Rows that are dense need no gathering, and then no neighbours.
  const int64_t together = dtype == DType::kF32 && reduced.is_dense(0) ? 1 : kTogether;

  parallel_for(kept.count(), cpu::row_grain(problem.reduced), [&](int64_t begin, int64_t end) {
    std::vector<float> block(
        static_cast<size_t>(is_floating(dtype) && together > 1 ? kTogether * kPitch : 0));
    kept.pieces(begin, end, [&](const cpu::Walk::Offsets& offsets, int64_t count) {
      const int64_t step = kept.stride(1);
      for (int64_t i = 0; i < count; i += together) {
        const int64_t results = std::min(together, count - i);
        const std::byte* first = from + (offsets[1] + i * step) * size_of(dtype);
        std::byte* place = to + (offsets[0] + i) * size_of(result);
        if (is_floating(dtype)) {
          float values[kTogether];
          reduce_together(kernels, problem, reduced, first, step, results, block.data(), values);
          cpu::write_floats(kernels, values, results, result, place, 1);
          continue;
        }
        for (int64_t k = 0; k < results; ++k) {
          const int64_t value = reduce_integers(problem, reduced, first + k * step * size_of(dtype));
          cpu::write_integers(&value, 1, result, place + k * size_of(result), 1);
        }
      }
    });
  });
}

constexpr Kernel<ReduceProblem> kKernels[] = {
    {"rows", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

/// `kept` is the shape of the result as it would be with `keep`.
void record(Reduction reduction, const Tensor& x, Tensor& y, const Shape& kept, int64_t reduced) {
  const Shape shape = x.shape();
  if (reduction == Reduction::kSum || reduction == Reduction::kMean) {
    const float share = reduction == Reduction::kSum ? 1.0f : 1.0f / static_cast<float>(reduced);
    autograd::record(y, name_of(reduction), {&x}, [=](const Tensor& dy, autograd::Gradients& inputs) {
      const Tensor each = share == 1.0f ? dy.contiguous() : scale(dy, share);
      inputs.add(0, each.reshape(kept).expand(shape));
    });
    return;
  }
  // Equal extremes share the gradient.
  autograd::record(y, name_of(reduction), {&x},
                   [=, x = x.detach(), y = y.detach()](const Tensor& dy, autograd::Gradients& inputs) {
                     const Tensor chosen = equal(x, y.reshape(kept));
                     const Tensor count = autograd::sum_to_shape(cast(chosen, dy.dtype()), kept);
                     const Tensor none = Tensor::zeros({}, dy.dtype(), dy.device());
                     inputs.add(0, where(chosen, divide(dy.contiguous().reshape(kept), count), none));
                   });
}

void check(Reduction reduction, const Tensor& x) {
  const std::string_view name = name_of(reduction);
  if (reduction == Reduction::kMean || !x.defined() || is_floating(x.dtype())) {
    require_floating(name, "x", x);
  } else {
    require_integers(name, "x", x);
  }
}

}  // namespace

std::string_view name_of(Reduction reduction) {
  constexpr std::string_view kNames[] = {"sum", "mean", "maximum_of", "minimum_of"};
  return kNames[static_cast<size_t>(reduction)];
}

Tensor reduce(Reduction reduction, const Tensor& x, std::span<const int> dims, bool keep) {
  check(reduction, x);
  std::array<bool, kMaxRank> reduces{};
  for (const int dim : dims) {
    bool& here = reduces[static_cast<size_t>(require_dimension(name_of(reduction), x, dim))];
    if (here) failed("{} names dimension {} twice", name_of(reduction), dim);
    here = true;
  }
  if (dims.empty()) reduces.fill(true);

  std::vector<int> order;
  std::vector<int64_t> kept_sizes;
  std::vector<int64_t> result_sizes;
  int64_t reduced = 1;
  for (int dim = 0; dim < x.rank(); ++dim) {
    if (reduces[static_cast<size_t>(dim)]) {
      reduced *= x.shape()[dim];
      if (keep) result_sizes.push_back(1);
      continue;
    }
    order.push_back(dim);
    kept_sizes.push_back(x.shape()[dim]);
    result_sizes.push_back(x.shape()[dim]);
  }
  const int kept = static_cast<int>(order.size());
  for (int dim = 0; dim < x.rank(); ++dim)
    if (reduces[static_cast<size_t>(dim)]) order.push_back(dim);

  const bool extreme = reduction == Reduction::kMaximum || reduction == Reduction::kMinimum;
  const Shape shape{std::span<const int64_t>(result_sizes)};
  if (extreme && reduced == 0 && shape.element_count() > 0)
    failed("{} takes at least one element, got {}", name_of(reduction), x.to_string());
  const DType dtype = is_floating(x.dtype()) || extreme ? x.dtype() : DType::kI64;
  Tensor y = Tensor::empty(shape, dtype, x.device());
  const ReduceProblem problem{reduction, x.detach().permute(order), kept, reduced,
                              y.reshape(Shape{std::span<const int64_t>(kept_sizes)})};
  choose<ReduceProblem>(name_of(reduction), kKernels, x.device(), problem).run(problem);
  if (!autograd::needed(x)) return y;
  Shape with_ones = x.shape();
  for (int dim = 0; dim < x.rank(); ++dim)
    if (reduces[static_cast<size_t>(dim)]) with_ones[dim] = 1;
  record(reduction, x, y, with_ones, reduced);
  return y;
}

Cost reduce_cost(const Shape& x, DType dtype) {
  const double count = static_cast<double>(x.element_count());
  const double bytes = static_cast<double>(size_of(dtype));
  return {count, count * bytes, 0};
}

}  // namespace martlet::ops

martlet::Tensor martlet::autograd::sum_to_shape(const Tensor& gradient, const Shape& shape) {
  if (gradient.shape() == shape) return gradient;
  const int added = gradient.rank() - shape.rank();
  std::vector<int> dims;
  for (int dim = 0; dim < gradient.rank(); ++dim)
    if (dim < added || shape[dim - added] != gradient.shape()[dim]) dims.push_back(dim);
  return ops::reduce(ops::Reduction::kSum, gradient.detach(), dims, true).reshape(shape);
}
