#include "ops/exchange.h"

#include <algorithm>

#include "base/thread_pool.h"
#include "ops/cpu/walk.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct ExchangeProblem {
  Tensor a, b;
};

void run_reference(const ExchangeProblem& problem) {
  Elements a(problem.a), b(problem.b);
  for (int64_t i = 0; i < a.count(); ++i) {
    const double from_a = a[i];
    a.set(i, b[i]);
    b.set(i, from_a);
  }
}

void run_cpu(const ExchangeProblem& problem) {
  std::byte* a = problem.a.mutable_host_bytes();
  std::byte* b = problem.b.mutable_host_bytes();
  parallel_for(problem.a.byte_count(), cpu::kGrain,
               [&](int64_t begin, int64_t end) { std::swap_ranges(a + begin, a + end, b + begin); });
}

Cost cost_of(const ExchangeProblem& problem) {
  return exchange_cost(problem.a.shape(), problem.a.dtype());
}

constexpr Kernel<ExchangeProblem> kKernels[] = {
    {"bytes", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

}  // namespace

void exchange(const Tensor& a, const Tensor& b) {
  for (const Tensor* each : {&a, &b})
    if (!each->defined() || !each->is_contiguous())
      failed("exchange takes dense tensors, got {}", each->defined() ? each->to_string() : "nothing");
  if (a.shape() != b.shape() || a.dtype() != b.dtype() || a.device() != b.device())
    failed("exchange takes two tensors of one shape, dtype and device, got {} and {}", a.to_string(),
           b.to_string());
  const ExchangeProblem problem{a, b};
  if (a.element_count() > 0) choose<ExchangeProblem>("exchange", kKernels, a.device(), problem).run(problem);
}

Cost exchange_cost(const Shape& shape, DType dtype) {
  const double bytes = 2 * static_cast<double>(shape.element_count()) * static_cast<double>(size_of(dtype));
  return {0, bytes, bytes};
}

}  // namespace martlet::ops
