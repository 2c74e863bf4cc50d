#include "ops/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/cast.h"
#include "ops/check.h"
#include "ops/cpu/row_access.h"
#include "ops/gather.h"
#include "ops/reference.h"
#include "ops/targets.h"

namespace martlet::ops {
namespace {

struct CrossEntropyProblem {
  Tensor logits;  ///< [..., classes]
  std::vector<int64_t> targets;
  LossReduction reduction;
  Tensor loss;                      ///< f32, contiguous
  std::vector<double>& row_losses;  ///< of all rows, before they are reduced
};

Cost cost_of(const CrossEntropyProblem& problem) {
  return cross_entropy_cost(problem.logits.shape(), problem.logits.dtype());
}

/// The elements of the result.
std::vector<double> reduced(const CrossEntropyProblem& problem) {
  const std::vector<double>& losses = problem.row_losses;
  if (problem.reduction == LossReduction::kNone) return losses;
  double sum = 0;
  int64_t counted = 0;
  for (size_t row = 0; row < losses.size(); ++row) {
    sum += losses[row];
    counted += problem.targets[row] == kIgnoredClass ? 0 : 1;
  }
  return {problem.reduction == LossReduction::kSum ? sum : sum / static_cast<double>(counted)};
}

void run_reference(const CrossEntropyProblem& problem) {
  const Elements logits(problem.logits);
  const int64_t classes = problem.logits.dim(-1);
  std::vector<double>& losses = problem.row_losses;
  for (const int64_t target : problem.targets) {
    const int64_t row = static_cast<int64_t>(losses.size()) * classes;
    losses.push_back(0);
    if (target == kIgnoredClass) continue;
    double most = -INFINITY;
    for (int64_t k = 0; k < classes; ++k) most = std::fmax(most, logits[row + k]);
    double sum = 0;
    for (int64_t k = 0; k < classes; ++k) sum += std::exp(logits[row + k] - most);
    losses.back() = std::log(sum) + most - logits[row + target];
  }
  const std::vector<double> values = reduced(problem);
  Elements loss(problem.loss);
  for (int64_t i = 0; i < loss.count(); ++i) loss.set(i, values[static_cast<size_t>(i)]);
}

/// Reads the row twice, for its maximum and for the sum, in the blocks of a sum.
double loss_of_row(const cpu::RowKernels& kernels, DType dtype, const std::byte* row, int64_t stride,
                   int64_t classes, int64_t target) {
  alignas(64) float buffer[cpu::kSumBlock];
  const auto block = [&](int64_t begin, int64_t count) {
    return cpu::read_floats(kernels, dtype, row + begin * stride * size_of(dtype), stride, count, buffer);
  };
  float most = -INFINITY;
  for (int64_t begin = 0; begin < classes; begin += cpu::kSumBlock) {
    const int64_t count = std::min(cpu::kSumBlock, classes - begin);
    const float here = kernels.largest(block(begin, count), count);
    most = std::isnan(here) || here > most ? here : most;
  }
  double sum = 0;
  for (int64_t begin = 0; begin < classes; begin += cpu::kSumBlock) {
    const int64_t count = std::min(cpu::kSumBlock, classes - begin);
    const float* values = block(begin, count);
    sum += kernels.exponentials(values, most, buffer, count);
  }
  return std::log(sum) + (static_cast<double>(most) - static_cast<double>(*block(target, 1)));
}

void run_cpu(const CrossEntropyProblem& problem) {
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const cpu::Rows rows(problem.logits);
  const std::byte* from = problem.logits.host_bytes();
  std::vector<double>& losses = problem.row_losses;
  losses.resize(problem.targets.size());
  parallel_for(rows.count(), cpu::row_grain(rows.length()), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t target = problem.targets[static_cast<size_t>(row)];
      if (target == kIgnoredClass) continue;
      losses[static_cast<size_t>(row)] = loss_of_row(kernels, problem.logits.dtype(), from + rows.offset(row),
                                                     rows.stride(), rows.length(), target);
    }
  });
  const std::vector<double> values = reduced(problem);
  float* loss = problem.loss.mutable_data<float>();
  for (const double value : values) *loss++ = static_cast<float>(value);
}

constexpr Kernel<CrossEntropyProblem> kKernels[] = {
    {"rows", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

/// What the gradient of a row of logits is made of: probabilities exp(logit - log_sum) minus 1 at the target,
/// all times the loss's own gradient.
struct GradientProblem {
  Tensor logits;
  const std::vector<int64_t>& targets;
  std::vector<double> log_sums;
  std::vector<double> factors;
  Tensor dlogits;  ///< may be logits
};

Cost cost_of(const GradientProblem& problem) {
  const Cost forward = cross_entropy_cost(problem.logits.shape(), problem.logits.dtype());
  return {forward.operations, forward.bytes_read / 2, forward.bytes_read / 2};
}

void run_gradient_reference(const GradientProblem& problem) {
  const Elements logits(problem.logits);
  Elements dlogits(problem.dlogits);
  const int64_t classes = problem.logits.dim(-1);
  for (size_t row = 0; row < problem.targets.size(); ++row)
    for (int64_t k = 0; k < classes; ++k) {
      const int64_t at = static_cast<int64_t>(row) * classes + k;
      const double probability = std::exp(logits[at] - problem.log_sums[row]);
      const bool counts = problem.targets[row] != kIgnoredClass;
      dlogits.set(at,
                  counts ? (probability - (k == problem.targets[row] ? 1 : 0)) * problem.factors[row] : 0);
    }
}

/// A row in blocks, each read before its place is written, so that the gradient may overwrite the logits.
void gradient_of_row(const cpu::RowKernels& kernels, const GradientProblem& problem, int64_t row,
                     const std::byte* from, int64_t stride, std::byte* to, int64_t to_stride) {
  alignas(64) float buffer[cpu::kSumBlock];
  const DType dtype = problem.logits.dtype();
  const int64_t classes = problem.logits.dim(-1);
  const size_t at = static_cast<size_t>(row);
  const int64_t target = problem.targets[at];
  const auto factor = static_cast<float>(problem.factors[at]);
  for (int64_t begin = 0; begin < classes; begin += cpu::kSumBlock) {
    const int64_t count = std::min(cpu::kSumBlock, classes - begin);
    std::byte* place = to + begin * to_stride * size_of(dtype);
    float* result = cpu::place_for(dtype, place, to_stride, buffer);
    if (target == kIgnoredClass) {
      std::fill_n(result, count, 0.0f);
    } else {
      const float* values =
          cpu::read_floats(kernels, dtype, from + begin * stride * size_of(dtype), stride, count, buffer);
      kernels.exponentials(values, static_cast<float>(problem.log_sums[at]), result, count);
      if (target >= begin && target < begin + count) result[target - begin] -= 1.0f;
      kernels.unary({Unary::kScale, factor}, result, result, count);
    }
    cpu::write_floats(kernels, result, count, dtype, place, to_stride);
  }
}

void run_gradient_cpu(const GradientProblem& problem) {
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const cpu::Rows from(problem.logits);
  const cpu::Rows to(problem.dlogits);
  const std::byte* logits = problem.logits.host_bytes();
  std::byte* dlogits = problem.dlogits.mutable_host_bytes();
  parallel_for(from.count(), cpu::row_grain(from.length()), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      gradient_of_row(kernels, problem, row, logits + from.offset(row), from.stride(),
                      dlogits + to.offset(row), to.stride());
  });
}

constexpr Kernel<GradientProblem> kGradientKernels[] = {
    {"rows", Device::kCpu, nullptr, run_gradient_cpu},
    {"reference", Device::kReference, nullptr, run_gradient_reference},
};

/// log(sum(exp(logits))) of each row: its loss and the target's logit together.
std::vector<double> log_sums(const Tensor& logits, const std::vector<int64_t>& targets,
                             std::vector<double> losses) {
  std::vector<int64_t> indices = targets;
  for (int64_t& index : indices) index = std::max<int64_t>(index, 0);
  Shape shape = logits.shape();
  shape[logits.rank() - 1] = 1;
  const Tensor index = Tensor::from(indices, shape, logits.device());
  const std::vector<float> chosen = cast(gather(logits.detach(), -1, index), DType::kF32).to_vector<float>();
  for (size_t row = 0; row < losses.size(); ++row) losses[row] += static_cast<double>(chosen[row]);
  return losses;
}

/// What the backward keeps: the logits, which it overwrites with their gradient where nobody else holds them.
struct Saved {
  Tensor logits;
  std::vector<int64_t> targets;
  std::vector<double> log_sums;
  LossReduction reduction;

  Tensor gradient(const Tensor& dloss) {
    const std::vector<float> given = dloss.to_vector<float>();
    std::vector<double> factors(targets.size());
    double counted = 0;
    for (const int64_t target : targets) counted += target == kIgnoredClass ? 0 : 1;
    const double share = reduction == LossReduction::kMean ? 1 / counted : 1;
    for (size_t row = 0; row < factors.size(); ++row)
      factors[row] = share * static_cast<double>(given[reduction == LossReduction::kNone ? row : 0]);
    const bool alone = logits.owns_storage_alone() && !logits.is_read_only();
    const Tensor dlogits = alone ? logits : Tensor::empty(logits.shape(), logits.dtype(), logits.device());
    const GradientProblem problem{logits, targets, std::move(log_sums), std::move(factors), dlogits};
    choose<GradientProblem>("cross_entropy", kGradientKernels, logits.device(), problem).run(problem);
    logits = {};
    return dlogits;
  }
};

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& targets, LossReduction reduction,
                     int64_t ignore_index) {
  require_floating("cross_entropy", "logits", logits);
  require_rows("cross_entropy", logits);
  const Shape rows = logits.shape().without(-1);
  require_shape("cross_entropy", "targets", targets, rows);
  require_one_device("cross_entropy", {&logits, &targets});
  std::vector<int64_t> indices = checked_targets("cross_entropy", targets, logits.dim(-1), ignore_index);
  Tensor loss =
      Tensor::empty(reduction == LossReduction::kNone ? rows : Shape{}, DType::kF32, logits.device());
  std::vector<double> losses;
  const CrossEntropyProblem problem{logits, std::move(indices), reduction, loss, losses};
  choose<CrossEntropyProblem>("cross_entropy", kKernels, logits.device(), problem).run(problem);
  if (!autograd::needed(logits)) return loss;
  Saved saved{logits.detach(), problem.targets, log_sums(logits, problem.targets, losses), reduction};
  autograd::record(loss, "cross_entropy", {&logits},
                   [saved = std::move(saved)](const Tensor& dloss, autograd::Gradients& inputs) mutable {
                     inputs.add(0, saved.gradient(dloss));
                   });
  return loss;
}

Cost cross_entropy_cost(const Shape& logits, DType dtype) {
  const double count = static_cast<double>(logits.element_count());
  return {22 * count, 2 * count * static_cast<double>(size_of(dtype)), 0};
}

}  // namespace martlet::ops
