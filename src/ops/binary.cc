#include "ops/binary.h"

#include <algorithm>
#include <cmath>

#include "autograd/arithmetic.h"
#include "autograd/backward.h"
#include "autograd/record.h"
#include "ops/cast.h"
#include "ops/check.h"
#include "ops/cpu/row_access.h"
#include "ops/cpu/walk.h"
#include "ops/reference.h"
#include "ops/unary.h"
#include "ops/where.h"

namespace martlet::ops {
namespace {

using Value = double (*)(double a, double b);
using IntegerValue = int64_t (*)(int64_t a, int64_t b);

/// What each function is: its definition in double, and for integers where it has one.
struct Definition {
  Binary function;
  std::string_view name;
  Value value;
  IntegerValue integer = nullptr;
};

constexpr int64_t wrapped(uint64_t value) {
  return static_cast<int64_t>(value);
}
constexpr uint64_t bits(int64_t value) {
  return static_cast<uint64_t>(value);
}
double smaller(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return a + b;
  return std::min(a, b);
}
double larger(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return a + b;
  return std::max(a, b);
}

constexpr Definition kDefinitions[] = {
    {Binary::kAdd, "add", [](double a, double b) { return a + b; },
     [](int64_t a, int64_t b) { return wrapped(bits(a) + bits(b)); }},
    {Binary::kSubtract, "subtract", [](double a, double b) { return a - b; },
     [](int64_t a, int64_t b) { return wrapped(bits(a) - bits(b)); }},
    {Binary::kMultiply, "multiply", [](double a, double b) { return a * b; },
     [](int64_t a, int64_t b) { return wrapped(bits(a) * bits(b)); }},
    {Binary::kDivide, "divide", [](double a, double b) { return a / b; }},
    {Binary::kMinimum, "minimum", smaller, [](int64_t a, int64_t b) { return std::min(a, b); }},
    {Binary::kMaximum, "maximum", larger, [](int64_t a, int64_t b) { return std::max(a, b); }},
    {Binary::kPower, "power", [](double a, double b) { return std::pow(a, b); }},
    {Binary::kEqual, "equal", [](double a, double b) { return a == b ? 1.0 : 0.0; },
     [](int64_t a, int64_t b) -> int64_t { return a == b; }},
    {Binary::kNotEqual, "not_equal", [](double a, double b) { return a != b ? 1.0 : 0.0; },
     [](int64_t a, int64_t b) -> int64_t { return a != b; }},
    {Binary::kLess, "less", [](double a, double b) { return a < b ? 1.0 : 0.0; },
     [](int64_t a, int64_t b) -> int64_t { return a < b; }},
    {Binary::kLessOrEqual, "less_or_equal", [](double a, double b) { return a <= b ? 1.0 : 0.0; },
     [](int64_t a, int64_t b) -> int64_t { return a <= b; }},
    {Binary::kGreater, "greater", [](double a, double b) { return a > b ? 1.0 : 0.0; },
     [](int64_t a, int64_t b) -> int64_t { return a > b; }},
    {Binary::kGreaterOrEqual, "greater_or_equal", [](double a, double b) { return a >= b ? 1.0 : 0.0; },
     [](int64_t a, int64_t b) -> int64_t { return a >= b; }},
};
static_assert(std::size(kDefinitions) == kBinaryCount);

const Definition& definition_of(Binary function) {
  return kDefinitions[static_cast<size_t>(function)];
}

struct BinaryProblem {
  Binary function;
  Tensor a;  ///< of y's shape, zero strides where it was broadcast
  Tensor b;
  Tensor y;  ///< may be a
};

Cost cost_of(const BinaryProblem& problem) {
  return binary_cost(problem.function, problem.a.shape(), problem.b.shape(), problem.a.dtype());
}

void run_reference(const BinaryProblem& problem) {
  const Definition& definition = definition_of(problem.function);
  const Elements a(problem.a);
  const Elements b(problem.b);
  Elements y(problem.y);
  for (int64_t i = 0; i < y.count(); ++i) {
    if (is_floating(problem.a.dtype())) {
      y.set(i, definition.value(a[i], b[i]));
    } else {
      y.set_integer(i, definition.integer(a.integer(i), b.integer(i)));
    }
  }
}

/// Functions that no vector code has: in double, as in the definition.
void run_scalar(Value value, const float* a, const float* b, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    y[i] = static_cast<float>(value(static_cast<double>(a[i]), static_cast<double>(b[i])));
}

void run_cpu(const BinaryProblem& problem) {
  const cpu::RowKernels& rows = cpu::row_kernels();
  const DType dtype = problem.a.dtype();
  const DType result = problem.y.dtype();
  const DType dtype_b = problem.b.dtype();
  const std::byte* from_a = problem.a.host_bytes();
  const std::byte* from_b = problem.b.host_bytes();
  std::byte* to = problem.y.mutable_host_bytes();
  const cpu::Walk walk(problem.y.shape(), {&problem.y, &problem.a, &problem.b});
  walk.parallel([&](const cpu::Walk::Offsets& offsets, int64_t count) {
    alignas(64) float buffer_a[cpu::kPiece];
    alignas(64) float buffer_b[cpu::kPiece];
    const float* a =
        cpu::read_floats(rows, dtype, from_a + offsets[1] * size_of(dtype), walk.stride(1), count, buffer_a);
    const float* b = cpu::read_floats(rows, dtype_b, from_b + offsets[2] * size_of(dtype_b), walk.stride(2),
                                      count, buffer_b);
    std::byte* target = to + offsets[0] * size_of(result);
    float* y = cpu::place_for(result, target, walk.stride(0), buffer_a);
    problem.function == Binary::kPower ? run_scalar(definition_of(problem.function).value, a, b, y, count)
                                       : rows.binary(problem.function, a, b, y, count);
    cpu::write_floats(rows, y, count, result, target, walk.stride(0));
  });
}

void run_cpu_integers(const BinaryProblem& problem) {
  const IntegerValue value = definition_of(problem.function).integer;
  const DType dtype = problem.a.dtype();
  const DType result = problem.y.dtype();
  const int64_t bytes = size_of(dtype);
  const std::byte* from_a = problem.a.host_bytes();
  const std::byte* from_b = problem.b.host_bytes();
  std::byte* to = problem.y.mutable_host_bytes();
  const cpu::Walk walk(problem.y.shape(), {&problem.y, &problem.a, &problem.b});
  walk.parallel([&](const cpu::Walk::Offsets& offsets, int64_t count) {
    int64_t a[cpu::kPiece];
    int64_t b[cpu::kPiece];
    cpu::read_integers(dtype, from_a + offsets[1] * bytes, walk.stride(1), count, a);
    cpu::read_integers(dtype, from_b + offsets[2] * bytes, walk.stride(2), count, b);
    for (int64_t i = 0; i < count; ++i) a[i] = value(a[i], b[i]);
    cpu::write_integers(a, count, result, to + offsets[0] * size_of(result), walk.stride(0));
  });
}

std::string_view floats_only(const BinaryProblem& problem) {
  return is_floating(problem.a.dtype()) ? "" : "integers";
}

constexpr Kernel<BinaryProblem> kKernels[] = {
    {"rows", Device::kCpu, floats_only, run_cpu},
    {"integers", Device::kCpu, nullptr, run_cpu_integers},
    {"reference", Device::kReference, nullptr, run_reference},
};

void run(Binary function, const Tensor& a, const Tensor& b, const Tensor& y) {
  const BinaryProblem problem{function, a.shape() == y.shape() ? a : a.detach().expand(y.shape()),
                              b.shape() == y.shape() ? b : b.detach().expand(y.shape()), y};
  choose<BinaryProblem>(name_of(function), kKernels, y.device(), problem).run(problem);
}

/// A sum in f32 takes narrower terms, as the residual of mixed precision has them.
bool adds_narrower(Binary function, const Tensor& a, const Tensor& b) {
  return function == Binary::kAdd && a.defined() && b.defined() && a.dtype() == DType::kF32 &&
         is_floating(b.dtype());
}

void check(Binary function, const Tensor& a, const Tensor& b) {
  const Definition& definition = definition_of(function);
  for (const Tensor* operand : {&a, &b}) {
    const std::string_view name = operand == &a ? "a" : "b";
    if (definition.integer == nullptr || !operand->defined() || is_floating(operand->dtype())) {
      require_floating(definition.name, name, *operand);
    } else if (!is_comparison(function)) {
      require_integers(definition.name, name, *operand);
    }
  }
  if (!adds_narrower(function, a, b)) require_one_dtype(definition.name, {&a, &b});
  require_one_device(definition.name, {&a, &b});
}

bool saves_operands(Binary function) {
  return function != Binary::kAdd && function != Binary::kSubtract;
}

/// The share of dy that goes to a (or, turned round, to b) where the better one of two passes: half of it
/// where they are equal.
Tensor share_of_better(Binary function, const Tensor& a, const Tensor& b, const Tensor& dy) {
  const Binary better = function == Binary::kMaximum ? Binary::kGreater : Binary::kLess;
  const Tensor none = Tensor::zeros({}, dy.dtype(), dy.device());
  return where(binary(better, a, b), dy, where(equal(a, b), scale(dy, 0.5f), none));
}

/// a^b log a, and 0 where a is 0: there a^b is 0, or has no slope in b.
Tensor slope_of_exponent(const Tensor& a, const Tensor& b) {
  const Tensor none = Tensor::zeros({}, a.dtype(), a.device());
  return where(equal(a, none), none, multiply(power(a, b), log(a)));
}

Tensor gradient_of_a(Binary function, const Tensor& a, const Tensor& b, const Tensor& dy) {
  switch (function) {
    case Binary::kMultiply:
      return multiply(dy, b);
    case Binary::kDivide:
      return divide(dy, b);
    case Binary::kPower:
      return multiply(dy, multiply(b, power(a, unary({Unary::kShift, -1}, b))));
    default:
      return share_of_better(function, a, b, dy);
  }
}

Tensor gradient_of_b(Binary function, const Tensor& a, const Tensor& b, const Tensor& dy) {
  switch (function) {
    case Binary::kMultiply:
      return multiply(dy, a);
    case Binary::kDivide:
      return negate(divide(multiply(dy, divide(a, b)), b));
    case Binary::kPower:
      return multiply(dy, slope_of_exponent(a, b));
    default:
      return share_of_better(function, b, a, dy);
  }
}

void record(Binary function, const Tensor& a, const Tensor& b, Tensor& y) {
  const Shape shape_a = a.shape();
  const Shape shape_b = b.shape();
  if (!saves_operands(function)) {
    const bool minus = function == Binary::kSubtract;
    const DType dtype_b = b.dtype();
    autograd::record(y, name_of(function), {&a, &b}, [=](const Tensor& dy, autograd::Gradients& inputs) {
      if (inputs.needs(0)) inputs.add(0, autograd::sum_to_shape(dy, shape_a));
      if (!inputs.needs(1)) return;
      const Tensor db = cast(autograd::sum_to_shape(dy, shape_b), dtype_b);
      inputs.add(1, minus ? negate(db) : db);
    });
    return;
  }
  // A product needs of each only what the other's gradient takes.
  const bool product = function == Binary::kMultiply;
  const Tensor kept_a = product && b.node() == nullptr ? Tensor() : a.detach();
  const Tensor kept_b = product && a.node() == nullptr ? Tensor() : b.detach();
  autograd::record(y, name_of(function), {&a, &b}, [=](const Tensor& dy, autograd::Gradients& inputs) {
    if (inputs.needs(0))
      inputs.add(0, autograd::sum_to_shape(gradient_of_a(function, kept_a, kept_b, dy), shape_a));
    if (inputs.needs(1))
      inputs.add(1, autograd::sum_to_shape(gradient_of_b(function, kept_a, kept_b, dy), shape_b));
  });
}

Shape result_shape(Binary function, const Tensor& a, const Tensor& b) {
  if (a.shape() == b.shape()) return a.shape();
  try {
    return broadcast(a.shape(), b.shape());
  } catch (Error& error) {
    throw error.within(name_of(function));
  }
}

}  // namespace

std::string_view name_of(Binary function) {
  return definition_of(function).name;
}

Tensor binary(Binary function, const Tensor& a, const Tensor& b) {
  check(function, a, b);
  Tensor y = Tensor::empty(result_shape(function, a, b), is_comparison(function) ? DType::kBool : a.dtype(),
                           a.device());
  run(function, a, b, y);
  if (!is_comparison(function) && autograd::needed(a, b)) record(function, a, b, y);
  return y;
}

void binary_in_place(Binary function, Tensor& a, const Tensor& b) {
  check(function, a, b);
  const std::string_view name = name_of(function);
  if (is_comparison(function)) failed("{} gives bool and cannot overwrite {}", name, a.to_string());
  if (a.is_read_only()) failed("{} in place cannot write {}: it is read-only", name, a.to_string());
  if (result_shape(function, a, b) != a.shape())
    failed("{} in place takes b that broadcasts to {}, got {}", name, a.to_string(), b.to_string());
  const bool recorded = autograd::needed(a, b);
  if (!autograd::may_overwrite(a) || (recorded && saves_operands(function))) {
    a = binary(function, a, b);
    return;
  }
  // Another view of the same elements may be read after it was overwritten.
  run(function, a, b.shares_storage_with(a) ? b.detach().clone() : b, a);
  if (recorded) record(function, a, b, a);
}

Cost binary_cost(Binary function, const Shape& a, const Shape& b, DType dtype) {
  const double count = static_cast<double>(broadcast(a, b).element_count());
  const double bytes = static_cast<double>(size_of(dtype));
  return {count, bytes * static_cast<double>(a.element_count() + b.element_count()),
          count * (is_comparison(function) ? 1 : bytes)};
}

}  // namespace martlet::ops

void martlet::autograd::add_to_gradient(const Tensor& sum, const Tensor& term) {
  ops::run(ops::Binary::kAdd, sum, term, sum);
}
