#include "ops/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/thread_pool.h"
#include "ops/check.h"
#include "ops/cpu/row_access.h"
#include "ops/indices.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

constexpr int64_t kIgnored = -1;

struct CrossEntropyProblem {
  Tensor logits;  ///< [..., classes]
  std::vector<int64_t> targets;
  LossReduction reduction;
  Tensor loss;  ///< f32, contiguous
};

/// The elements of the result.
std::vector<double> reduced(const CrossEntropyProblem& problem, std::vector<double> losses) {
  if (problem.reduction == LossReduction::kNone) return losses;
  double sum = 0;
  int64_t counted = 0;
  for (size_t row = 0; row < losses.size(); ++row) {
    sum += losses[row];
    counted += problem.targets[row] == kIgnored ? 0 : 1;
  }
  return {problem.reduction == LossReduction::kSum ? sum : sum / static_cast<double>(counted)};
}

void run_reference(const CrossEntropyProblem& problem) {
  const Elements logits(problem.logits);
  const int64_t classes = problem.logits.dim(-1);
  std::vector<double> losses;
  for (const int64_t target : problem.targets) {
    const int64_t row = static_cast<int64_t>(losses.size()) * classes;
    losses.push_back(0);
    if (target == kIgnored) continue;
    double most = -INFINITY;
    for (int64_t k = 0; k < classes; ++k) most = std::fmax(most, logits[row + k]);
    double sum = 0;
    for (int64_t k = 0; k < classes; ++k) sum += std::exp(logits[row + k] - most);
    losses.back() = std::log(sum) + most - logits[row + target];
  }
  const std::vector<double> values = reduced(problem, losses);
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
  std::vector<double> losses(problem.targets.size());
  parallel_for(rows.count(), cpu::row_grain(rows.length()), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t target = problem.targets[static_cast<size_t>(row)];
      if (target == kIgnored) continue;
      losses[static_cast<size_t>(row)] = loss_of_row(kernels, problem.logits.dtype(), from + rows.offset(row),
                                                     rows.stride(), rows.length(), target);
    }
  });
  const std::vector<double> values = reduced(problem, std::move(losses));
  float* loss = problem.loss.mutable_data<float>();
  for (const double value : values) *loss++ = static_cast<float>(value);
}

constexpr Kernel<CrossEntropyProblem> kKernels[] = {
    {"rows", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& targets, LossReduction reduction,
                     int64_t ignore_index) {
  require_floating("cross_entropy", "logits", logits);
  require_rows("cross_entropy", logits);
  const Shape rows = logits.shape().without(-1);
  require_shape("cross_entropy", "targets", targets, rows);
  require_one_device("cross_entropy", {&logits, &targets});
  std::vector<int64_t> indices = indices_of("cross_entropy", targets);
  for (size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] == ignore_index) {
      indices[i] = kIgnored;
    } else if (indices[i] < 0 || indices[i] >= logits.dim(-1)) {
      failed("cross_entropy has target {} at place {}, outside [0, {}) and not {}, which is ignored",
             indices[i], i, logits.dim(-1), ignore_index);
    }
  }
  const CrossEntropyProblem problem{
      logits, std::move(indices), reduction,
      Tensor::empty(reduction == LossReduction::kNone ? rows : Shape{}, DType::kF32, logits.device())};
  choose<CrossEntropyProblem>("cross_entropy", kKernels, logits.device(), problem).run(problem);
  return problem.loss;
}

Cost cross_entropy_cost(const Shape& logits, DType dtype) {
  const double count = static_cast<double>(logits.element_count());
  return {22 * count, 2 * count * static_cast<double>(size_of(dtype)), 0};
}

}  // namespace martlet::ops
