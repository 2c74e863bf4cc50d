#include "ops/where.h"

#include <cstring>

#include "autograd/arithmetic.h"
#include "autograd/backward.h"
#include "autograd/record.h"
#include "ops/check.h"
#include "ops/cpu/walk.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct WhereProblem {
  Tensor condition;  ///< these three of y's shape, zero strides where they were broadcast
  Tensor a;
  Tensor b;
  Tensor y;
};

Cost cost_of(const WhereProblem& problem) {
  return where_cost(problem.y.shape(), problem.y.dtype());
}

void run_reference(const WhereProblem& problem) {
  const Elements condition(problem.condition);
  const Elements a(problem.a);
  const Elements b(problem.b);
  Elements y(problem.y);
  for (int64_t i = 0; i < y.count(); ++i) {
    const Elements& chosen = condition.integer(i) != 0 ? a : b;
    if (is_floating(problem.y.dtype())) {
      y.set(i, chosen[i]);
    } else {
      y.set_integer(i, chosen.integer(i));
    }
  }
}

/// Elements are only moved, so their type is their size.
template <typename T>
void run_sized(const WhereProblem& problem) {
  const std::byte* condition = problem.condition.host_bytes();
  const std::byte* a = problem.a.host_bytes();
  const std::byte* b = problem.b.host_bytes();
  std::byte* y = problem.y.mutable_host_bytes();
  constexpr auto kBytes = static_cast<int64_t>(sizeof(T));
  const cpu::Walk walk(problem.y.shape(), {&problem.y, &problem.condition, &problem.a, &problem.b});
  walk.parallel([&](const cpu::Walk::Offsets& offsets, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const bool holds = condition[offsets[1] + i * walk.stride(1)] != std::byte{0};
      const std::byte* from = holds ? a + (offsets[2] + i * walk.stride(2)) * kBytes
                                    : b + (offsets[3] + i * walk.stride(3)) * kBytes;
      std::memcpy(y + (offsets[0] + i * walk.stride(0)) * kBytes, from, sizeof(T));
    }
  });
}

void run_cpu(const WhereProblem& problem) {
  switch (size_of(problem.y.dtype())) {
    case 1:
      return run_sized<uint8_t>(problem);
    case 2:
      return run_sized<uint16_t>(problem);
    case 4:
      return run_sized<uint32_t>(problem);
    default:
      return run_sized<uint64_t>(problem);
  }
}

constexpr Kernel<WhereProblem> kKernels[] = {
    {"moves", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

void record(const Tensor& condition, const Tensor& a, const Tensor& b, Tensor& y) {
  autograd::record(
      y, "where", {&a, &b},
      [condition, shape_a = a.shape(), shape_b = b.shape()](const Tensor& dy, autograd::Gradients& inputs) {
        const Tensor none = Tensor::zeros({}, dy.dtype(), dy.device());
        if (inputs.needs(0)) inputs.add(0, autograd::sum_to_shape(where(condition, dy, none), shape_a));
        if (inputs.needs(1)) inputs.add(1, autograd::sum_to_shape(where(condition, none, dy), shape_b));
      });
}

Shape result_shape(const Tensor& condition, const Tensor& a, const Tensor& b) {
  try {
    return broadcast(condition.shape(), broadcast(a.shape(), b.shape()));
  } catch (Error& error) {
    throw error.within("where");
  }
}

}  // namespace

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  for (const Tensor* tensor : {&condition, &a, &b})
    if (!tensor->defined()) failed("where takes three tensors, got nothing for one");
  if (condition.dtype() != DType::kBool)
    failed("where takes a condition of bool, got {}", condition.to_string());
  require_one_dtype("where", {&a, &b});
  require_one_device("where", {&condition, &a, &b});
  const Shape shape = result_shape(condition, a, b);
  Tensor y = Tensor::empty(shape, a.dtype(), a.device());
  const WhereProblem problem{condition.expand(shape), a.detach().expand(shape), b.detach().expand(shape), y};
  choose<WhereProblem>("where", kKernels, a.device(), problem).run(problem);
  if (autograd::needed(a, b)) record(condition, a, b, y);
  return y;
}

Cost where_cost(const Shape& result, DType dtype) {
  const double count = static_cast<double>(result.element_count());
  const double bytes = static_cast<double>(size_of(dtype));
  return {count, count * (1 + 2 * bytes), count * bytes};
}

}  // namespace martlet::ops
