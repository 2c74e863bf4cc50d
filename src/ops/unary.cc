#include "ops/unary.h"

#include <cmath>
#include <numbers>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "ops/check.h"
#include "ops/cpu/row_access.h"
#include "ops/cpu/walk.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

using Value = double (*)(double x, double a, double b);
using IntegerValue = int64_t (*)(int64_t x, const UnaryCall& call);

/// What each function is: its definition in double, its definition for integers where it has one, and its
/// cost in operations (a transcendental function is about as many as its polynomial and its division take).
struct Definition {
  Unary function;
  std::string_view name;
  double operations;
  Value value;
  IntegerValue integer = nullptr;
};

double normal_distribution(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}
double sigmoid_of(double x) {
  return 1 / (1 + std::exp(-x));
}
double positive(double x) {
  return std::isnan(x) || x > 0 ? x : 0;
}
double clamped(double x, double least, double most) {
  if (std::isnan(x)) return x;
  return std::fmin(std::fmax(x, least), most);
}
/// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), without the cancellation: 1 + tanh a = 2 sigmoid(2a).
double gelu_tanh_of(double x) {
  return x * sigmoid_of(2 * std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x));
}

/// Integers wrap: the lower 64 bits, of which the dtype keeps its own.
int64_t wrapped_product(int64_t x, int64_t y) {
  return static_cast<int64_t>(static_cast<uint64_t>(x) * static_cast<uint64_t>(y));
}
int64_t wrapped_negative(int64_t x) {
  return static_cast<int64_t>(uint64_t{0} - static_cast<uint64_t>(x));
}
int64_t clamped_integer(int64_t x, const UnaryCall& call) {
  // Limits beyond what int64 holds limit nothing.
  constexpr float kLimit = 9.2e18f;
  const auto least = static_cast<int64_t>(std::ceil(std::fmax(call.a, -kLimit)));
  const auto most = static_cast<int64_t>(std::floor(std::fmin(call.b, kLimit)));
  return x < least ? least : x > most ? most : x;
}

constexpr Definition kDefinitions[] = {
    {Unary::kNegate, "negate", 1, [](double x, double, double) { return -x; },
     [](int64_t x, const UnaryCall&) { return wrapped_negative(x); }},
    {Unary::kAbsolute, "absolute", 1, [](double x, double, double) { return std::fabs(x); },
     [](int64_t x, const UnaryCall&) { return x < 0 ? wrapped_negative(x) : x; }},
    {Unary::kSquare, "square", 1, [](double x, double, double) { return x * x; },
     [](int64_t x, const UnaryCall&) { return wrapped_product(x, x); }},
    {Unary::kReciprocal, "reciprocal", 1, [](double x, double, double) { return 1 / x; }},
    {Unary::kSquareRoot, "square_root", 1, [](double x, double, double) { return std::sqrt(x); }},
    {Unary::kReciprocalSquareRoot, "reciprocal_square_root", 2,
     [](double x, double, double) { return 1 / std::sqrt(x); }},
    {Unary::kExp, "exp", 20, [](double x, double, double) { return std::exp(x); }},
    {Unary::kLog, "log", 25, [](double x, double, double) { return std::log(x); }},
    {Unary::kTanh, "tanh", 36, [](double x, double, double) { return std::tanh(x); }},
    {Unary::kErf, "erf", 60, [](double x, double, double) { return std::erf(x); }},
    {Unary::kSigmoid, "sigmoid", 22, [](double x, double, double) { return sigmoid_of(x); }},
    {Unary::kSilu, "silu", 22, [](double x, double, double) { return x * sigmoid_of(x); }},
    {Unary::kGelu, "gelu", 50, [](double x, double, double) { return x * normal_distribution(x); }},
    {Unary::kGeluTanh, "gelu_tanh", 26, [](double x, double, double) { return gelu_tanh_of(x); }},
    {Unary::kGeluQuick, "gelu_quick", 23, [](double x, double, double) { return x * sigmoid_of(1.702 * x); }},
    {Unary::kRelu, "relu", 1, [](double x, double, double) { return positive(x); },
     [](int64_t x, const UnaryCall&) { return x > 0 ? x : 0; }},
    {Unary::kReluSquared, "relu_squared", 2,
     [](double x, double, double) { return positive(x) * positive(x); }},
    {Unary::kScale, "scale", 1, [](double x, double a, double) { return a * x; }},
    {Unary::kShift, "shift", 1, [](double x, double a, double) { return x + a; }},
    {Unary::kSoftCap, "soft_cap", 38, [](double x, double a, double) { return a * std::tanh(x / a); }},
    {Unary::kClamp, "clamp", 2, [](double x, double a, double b) { return clamped(x, a, b); },
     clamped_integer},
    {Unary::kPower, "power", 80, [](double x, double a, double) { return std::pow(x, a); }},
};
static_assert(std::size(kDefinitions) == kUnaryCount);

const Definition& definition_of(Unary function) {
  return kDefinitions[static_cast<size_t>(function)];
}

struct UnaryProblem {
  UnaryCall call;
  Tensor x;
  Tensor y;  ///< of x's shape; may be x
};

Cost cost_of(const UnaryProblem& problem) {
  return unary_cost(problem.call, problem.x.shape(), problem.x.dtype());
}

void run_reference(const UnaryProblem& problem) {
  const IntegerValue integer = definition_of(problem.call.function).integer;
  const Elements x(problem.x);
  Elements y(problem.y);
  for (int64_t i = 0; i < x.count(); ++i) {
    if (is_floating(problem.x.dtype())) {
      y.set(i, value_of(problem.call, x[i]));
    } else {
      y.set_integer(i, integer(x.integer(i), problem.call));
    }
  }
}

/// Functions that no vector code has: in double, as in the definition.
void run_scalar(const UnaryCall& call, const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = static_cast<float>(value_of(call, static_cast<double>(x[i])));
}

void run_cpu(const UnaryProblem& problem) {
  const cpu::RowKernels& rows = cpu::row_kernels();
  const DType dtype = problem.x.dtype();
  const int64_t bytes = size_of(dtype);
  const std::byte* from = problem.x.host_bytes();
  std::byte* to = problem.y.mutable_host_bytes();
  const cpu::Walk walk(problem.x.shape(), {&problem.y, &problem.x});
  walk.parallel([&](const cpu::Walk::Offsets& offsets, int64_t count) {
    alignas(64) float buffer[cpu::kPiece];
    const float* x = cpu::read_floats(rows, dtype, from + offsets[1] * bytes, walk.stride(1), count, buffer);
    std::byte* target = to + offsets[0] * bytes;
    float* y = cpu::place_for(dtype, target, walk.stride(0), buffer);
    problem.call.function == Unary::kPower ? run_scalar(problem.call, x, y, count)
                                           : rows.unary(problem.call, x, y, count);
    cpu::write_floats(rows, y, count, dtype, target, walk.stride(0));
  });
}

void run_cpu_integers(const UnaryProblem& problem) {
  const IntegerValue value = definition_of(problem.call.function).integer;
  const DType dtype = problem.x.dtype();
  const int64_t bytes = size_of(dtype);
  const std::byte* from = problem.x.host_bytes();
  std::byte* to = problem.y.mutable_host_bytes();
  const cpu::Walk walk(problem.x.shape(), {&problem.y, &problem.x});
  walk.parallel([&](const cpu::Walk::Offsets& offsets, int64_t count) {
    int64_t buffer[cpu::kPiece];
    cpu::read_integers(dtype, from + offsets[1] * bytes, walk.stride(1), count, buffer);
    for (int64_t i = 0; i < count; ++i) buffer[i] = value(buffer[i], problem.call);
    cpu::write_integers(buffer, count, dtype, to + offsets[0] * bytes, walk.stride(0));
  });
}

std::string_view floats_only(const UnaryProblem& problem) {
  return is_floating(problem.x.dtype()) ? "" : "integers";
}

constexpr Kernel<UnaryProblem> kKernels[] = {
    {"rows", Device::kCpu, floats_only, run_cpu},
    {"integers", Device::kCpu, nullptr, run_cpu_integers},
    {"reference", Device::kReference, nullptr, run_reference},
};

void run(const UnaryCall& call, const Tensor& x, const Tensor& y) {
  const UnaryProblem problem{call, x, y};
  choose<UnaryProblem>(name_of(call.function), kKernels, x.device(), problem).run(problem);
}

/// Whether the slope depends on x.
bool saves_operand(Unary function) {
  return function != Unary::kNegate && function != Unary::kScale && function != Unary::kShift;
}

void record(const UnaryCall& call, const Tensor& x, Tensor& y) {
  if (saves_operand(call.function)) {
    autograd::record(y, name_of(call.function), {&x},
                     [call, x = x.detach()](const Tensor& dy, autograd::Gradients& inputs) {
                       inputs.add(0, unary_gradient(call, x, dy));
                     });
    return;
  }
  autograd::record(y, name_of(call.function), {&x}, [call](const Tensor& dy, autograd::Gradients& inputs) {
    inputs.add(0, call.function == Unary::kShift ? dy : unary(call, dy));
  });
}

void check(const UnaryCall& call, const Tensor& x) {
  const Definition& definition = definition_of(call.function);
  if (definition.integer != nullptr && x.defined() && !is_floating(x.dtype())) {
    require_integers(definition.name, "x", x);
  } else {
    require_floating(definition.name, "x", x);
  }
  if (call.function == Unary::kSoftCap && !(call.a > 0))
    failed("soft_cap takes a cap above 0, got {}", call.a);
  if (call.function == Unary::kClamp && !(call.a <= call.b))
    failed("clamp takes limits in order, got {} and {}", call.a, call.b);
}

}  // namespace

double value_of(const UnaryCall& call, double x) {
  return definition_of(call.function).value(x, static_cast<double>(call.a), static_cast<double>(call.b));
}

std::string_view name_of(Unary function) {
  return definition_of(function).name;
}

Tensor unary(const UnaryCall& call, const Tensor& x) {
  check(call, x);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  run(call, x, y);
  if (autograd::needed(x)) record(call, x, y);
  return y;
}

void unary_in_place(const UnaryCall& call, Tensor& x) {
  check(call, x);
  if (x.is_read_only())
    failed("{} in place cannot write {}: it is read-only", name_of(call.function), x.to_string());
  const bool recorded = autograd::needed(x);
  if (!autograd::may_overwrite(x) || (recorded && saves_operand(call.function))) {
    x = unary(call, x);
    return;
  }
  run(call, x, x);
  if (recorded) record(call, x, x);
}

Cost unary_cost(const UnaryCall& call, const Shape& x, DType dtype) {
  const double count = static_cast<double>(x.element_count());
  const double bytes = count * static_cast<double>(size_of(dtype));
  return {count * definition_of(call.function).operations, bytes, bytes};
}

}  // namespace martlet::ops
