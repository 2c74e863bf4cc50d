#include "ops/moving_average.h"

#include "base/thread_pool.h"
#include "ops/cpu/walk.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct AverageProblem {
  Tensor average;
  Tensor value;
  double fresh;
};

void run_reference(const AverageProblem& problem) {
  Elements average(problem.average);
  const Elements value(problem.value);
  for (int64_t i = 0; i < average.count(); ++i)
    average.set(i, average[i] + problem.fresh * (value[i] - average[i]));
}

void run_cpu(const AverageProblem& problem) {
  float* average = problem.average.mutable_data<float>();
  const float* value = problem.value.data<float>();
  const auto fresh = static_cast<float>(problem.fresh);
  parallel_for(problem.average.element_count(), cpu::kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) average[i] += fresh * (value[i] - average[i]);
  });
}

Cost cost_of(const AverageProblem& problem) {
  return moving_average_cost(problem.average.shape());
}

constexpr Kernel<AverageProblem> kKernels[] = {
    {"elements", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

void check(const Tensor& average, const Tensor& value) {
  for (const Tensor* each : {&average, &value})
    if (!each->defined() || each->dtype() != DType::kF32 || !each->is_contiguous())
      failed("moving_average takes dense f32 tensors, got {}",
             each->defined() ? each->to_string() : "nothing");
  if (average.shape() != value.shape() || average.device() != value.device())
    failed("moving_average takes two tensors of one shape and device, got {} and {}", average.to_string(),
           value.to_string());
}

}  // namespace

void moving_average(const Tensor& average, const Tensor& value, double fresh) {
  check(average, value);
  if (!(fresh >= 0 && fresh <= 1)) failed("moving_average takes a share from 0 to 1, got {}", fresh);
  const AverageProblem problem{average, value, fresh};
  if (average.element_count() > 0)
    choose<AverageProblem>("moving_average", kKernels, average.device(), problem).run(problem);
}

Cost moving_average_cost(const Shape& shape) {
  const auto count = static_cast<double>(shape.element_count());
  return {3 * count, 8 * count, 4 * count};
}

}  // namespace martlet::ops
