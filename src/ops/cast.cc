#include "ops/cast.h"

#include "autograd/backward.h"
#include "autograd/record.h"
#include "ops/check.h"
#include "ops/cpu/row_access.h"
#include "ops/cpu/walk.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct CastProblem {
  Tensor x;
  Tensor y;
};

Cost cost_of(const CastProblem& problem) {
  return cast_cost(problem.x.shape(), problem.x.dtype(), problem.y.dtype());
}

bool between_integers(const CastProblem& problem) {
  return !is_floating(problem.x.dtype()) && !is_floating(problem.y.dtype());
}

void run_reference(const CastProblem& problem) {
  const Elements x(problem.x);
  Elements y(problem.y);
  for (int64_t i = 0; i < x.count(); ++i) {
    if (between_integers(problem)) {
      y.set_integer(i, x.integer(i));
    } else if (is_floating(problem.x.dtype())) {
      y.set(i, x[i]);
    } else {
      y.set(i, static_cast<double>(static_cast<float>(x.integer(i))));
    }
  }
}

void run_cpu(const CastProblem& problem) {
  const cpu::RowKernels& rows = cpu::row_kernels();
  const DType from = problem.x.dtype();
  const DType to = problem.y.dtype();
  const std::byte* source = problem.x.host_bytes();
  std::byte* target = problem.y.mutable_host_bytes();
  const cpu::Walk walk(problem.x.shape(), {&problem.y, &problem.x});
  walk.parallel([&](const cpu::Walk::Offsets& offsets, int64_t count) {
    alignas(64) float buffer[cpu::kPiece];
    std::byte* place = target + offsets[0] * size_of(to);
    const std::byte* begin = source + offsets[1] * size_of(from);
    const float* values = cpu::read_floats(rows, from, begin, walk.stride(1), count,
                                           cpu::place_for(to, place, walk.stride(0), buffer));
    cpu::write_floats(rows, values, count, to, place, walk.stride(0));
  });
}

void run_cpu_integers(const CastProblem& problem) {
  const DType from = problem.x.dtype();
  const DType to = problem.y.dtype();
  const std::byte* source = problem.x.host_bytes();
  std::byte* target = problem.y.mutable_host_bytes();
  const cpu::Walk walk(problem.x.shape(), {&problem.y, &problem.x});
  walk.parallel([&](const cpu::Walk::Offsets& offsets, int64_t count) {
    int64_t buffer[cpu::kPiece];
    cpu::read_integers(from, source + offsets[1] * size_of(from), walk.stride(1), count, buffer);
    cpu::write_integers(buffer, count, to, target + offsets[0] * size_of(to), walk.stride(0));
  });
}

std::string_view floats_only(const CastProblem& problem) {
  return between_integers(problem) ? "between integers" : "";
}

constexpr Kernel<CastProblem> kKernels[] = {
    {"rows", Device::kCpu, floats_only, run_cpu},
    {"integers", Device::kCpu, nullptr, run_cpu_integers},
    {"reference", Device::kReference, nullptr, run_reference},
};

}  // namespace

Tensor cast(const Tensor& x, DType dtype) {
  if (!x.defined()) failed("cast takes a tensor x, got nothing");
  if (x.dtype() == dtype) return x;
  Tensor y = Tensor::empty(x.shape(), dtype, x.device());
  const CastProblem problem{x, y};
  choose<CastProblem>("cast", kKernels, x.device(), problem).run(problem);
  if (is_floating(dtype) && autograd::needed(x))
    autograd::record(y, "cast", {&x}, [from = x.dtype()](const Tensor& dy, autograd::Gradients& inputs) {
      inputs.add(0, cast(dy, from));
    });
  return y;
}

Cost cast_cost(const Shape& x, DType from, DType to) {
  const double count = static_cast<double>(x.element_count());
  return {count, count * static_cast<double>(size_of(from)), count * static_cast<double>(size_of(to))};
}

}  // namespace martlet::ops
