// The derivatives of the element-wise functions, and f'(x) dy in one pass.

#include <cmath>
#include <numbers>

#include "ops/check.h"
#include "ops/cpu/gradient_kernels.h"
#include "ops/cpu/row_access.h"
#include "ops/cpu/walk.h"
#include "ops/reference.h"
#include "ops/unary.h"

namespace martlet::ops {
namespace {

double sigmoid_of(double x) {
  return 1 / (1 + std::exp(-x));
}
double normal_density(double x) {
  return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
}
double normal_distribution(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}
/// Of x sigmoid(u(x)), given u and u'.
double sigmoid_gate_slope(double x, double u, double u_slope) {
  const double s = sigmoid_of(u);
  return s + x * s * (1 - s) * u_slope;
}

struct GradientProblem {
  UnaryCall call;
  Tensor x;
  Tensor dy;
  Tensor dx;
};

Cost cost_of(const GradientProblem& problem) {
  Cost cost = unary_cost(problem.call, problem.x.shape(), problem.x.dtype());
  cost.bytes_read *= 2;
  return cost;
}

void run_reference(const GradientProblem& problem) {
  const Elements x(problem.x);
  const Elements dy(problem.dy);
  Elements dx(problem.dx);
  for (int64_t i = 0; i < x.count(); ++i) dx.set(i, slope_of(problem.call, x[i]) * dy[i]);
}

/// Functions that no vector code has: in double, as in the definition.
void run_scalar(const UnaryCall& call, const float* x, const float* dy, float* dx, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    dx[i] = static_cast<float>(slope_of(call, static_cast<double>(x[i])) * static_cast<double>(dy[i]));
}

void run_cpu(const GradientProblem& problem) {
  const cpu::RowKernels& rows = cpu::row_kernels();
  const cpu::GradientKernels& kernels = cpu::gradient_kernels();
  const DType dtype = problem.x.dtype();
  const int64_t bytes = size_of(dtype);
  const std::byte* from_x = problem.x.host_bytes();
  const std::byte* from_dy = problem.dy.host_bytes();
  std::byte* to = problem.dx.mutable_host_bytes();
  const cpu::Walk walk(problem.x.shape(), {&problem.dx, &problem.x, &problem.dy});
  walk.parallel([&](const cpu::Walk::Offsets& offsets, int64_t count) {
    alignas(64) float buffer_x[cpu::kPiece];
    alignas(64) float buffer_dy[cpu::kPiece];
    const float* x =
        cpu::read_floats(rows, dtype, from_x + offsets[1] * bytes, walk.stride(1), count, buffer_x);
    const float* dy =
        cpu::read_floats(rows, dtype, from_dy + offsets[2] * bytes, walk.stride(2), count, buffer_dy);
    std::byte* target = to + offsets[0] * bytes;
    float* dx = cpu::place_for(dtype, target, walk.stride(0), buffer_x);
    problem.call.function == Unary::kPower ? run_scalar(problem.call, x, dy, dx, count)
                                           : kernels.unary(problem.call, x, dy, dx, count);
    cpu::write_floats(rows, dx, count, dtype, target, walk.stride(0));
  });
}

constexpr Kernel<GradientProblem> kKernels[] = {
    {"rows", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

}  // namespace

double slope_of(const UnaryCall& call, double x) {
  const double a = static_cast<double>(call.a);
  const double b = static_cast<double>(call.b);
  switch (call.function) {
    case Unary::kNegate:
      return -1;
    case Unary::kAbsolute:
      return x > 0 ? 1 : x < 0 ? -1 : 0;
    case Unary::kSquare:
      return 2 * x;
    case Unary::kReciprocal:
      return -1 / (x * x);
    case Unary::kSquareRoot:
      return 0.5 / std::sqrt(x);
    case Unary::kReciprocalSquareRoot:
      return -0.5 / (x * std::sqrt(x));
    case Unary::kExp:
      return std::exp(x);
    case Unary::kLog:
      return 1 / x;
    case Unary::kTanh:
      return 1 - std::tanh(x) * std::tanh(x);
    case Unary::kErf:
      return 2 / std::sqrt(std::numbers::pi) * std::exp(-x * x);
    case Unary::kSigmoid:
      return sigmoid_of(x) * (1 - sigmoid_of(x));
    case Unary::kSilu:
      return sigmoid_gate_slope(x, x, 1);
    case Unary::kGelu:
      return normal_distribution(x) + x * normal_density(x);
    case Unary::kGeluTanh: {
      const double factor = 2 * std::sqrt(2 / std::numbers::pi);
      return sigmoid_gate_slope(x, factor * (x + 0.044715 * x * x * x), factor * (1 + 3 * 0.044715 * x * x));
    }
    case Unary::kGeluQuick:
      return sigmoid_gate_slope(x, 1.702 * x, 1.702);
    case Unary::kRelu:
      return x > 0 ? 1 : 0;
    case Unary::kReluSquared:
      return x > 0 ? 2 * x : 0;
    case Unary::kScale:
      return a;
    case Unary::kShift:
      return 1;
    case Unary::kSoftCap:
      return 1 - std::tanh(x / a) * std::tanh(x / a);
    case Unary::kClamp:
      return x >= a && x <= b ? 1 : 0;
    case Unary::kPower:
      return a == 0 ? 0 : a * std::pow(x, a - 1);
  }
  return 0;
}

Tensor unary_gradient(const UnaryCall& call, const Tensor& x, const Tensor& dy) {
  require_floating("unary_gradient", "x", x);
  require_shape("unary_gradient", "dy", dy, x.shape());
  require_one_dtype("unary_gradient", {&x, &dy});
  require_one_device("unary_gradient", {&x, &dy});
  Tensor dx = Tensor::empty(x.shape(), x.dtype(), x.device());
  const GradientProblem problem{call, x, dy, dx};
  choose<GradientProblem>("unary_gradient", kKernels, x.device(), problem).run(problem);
  return dx;
}

}  // namespace martlet::ops
