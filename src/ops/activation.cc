#include "ops/activation.h"

#include <algorithm>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "ops/binary.h"
#include "ops/check.h"
#include "ops/cpu/gradient_kernels.h"
#include "ops/cpu/row_access.h"
#include "ops/cpu/walk.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct Name {
  std::string_view name;
  Unary function;
};

/// As Hugging Face configs spell them.
constexpr Name kNames[] = {
    {"silu", Unary::kSilu},
    {"swish", Unary::kSilu},
    {"gelu", Unary::kGelu},
    {"gelu_python", Unary::kGelu},
    {"gelu_new", Unary::kGeluTanh},
    {"gelu_fast", Unary::kGeluTanh},
    {"gelu_pytorch_tanh", Unary::kGeluTanh},
    {"gelu_accurate", Unary::kGeluTanh},
    {"quick_gelu", Unary::kGeluQuick},
    {"relu", Unary::kRelu},
    {"relu2", Unary::kReluSquared},
    {"tanh", Unary::kTanh},
    {"sigmoid", Unary::kSigmoid},
};

struct GateProblem {
  Unary activation;
  Tensor gate;
  Tensor up;
  Tensor y;  ///< may be gate
};

Cost cost_of(const GateProblem& problem) {
  return gated_cost(problem.activation, problem.gate.shape(), problem.gate.dtype());
}

void run_reference(const GateProblem& problem) {
  const Elements gate(problem.gate);
  const Elements up(problem.up);
  Elements y(problem.y);
  for (int64_t i = 0; i < y.count(); ++i) y.set(i, value_of({problem.activation}, gate[i]) * up[i]);
}

void run_cpu(const GateProblem& problem) {
  const cpu::RowKernels& rows = cpu::row_kernels();
  const DType dtype = problem.gate.dtype();
  const int64_t bytes = size_of(dtype);
  const std::byte* from_gate = problem.gate.host_bytes();
  const std::byte* from_up = problem.up.host_bytes();
  std::byte* to = problem.y.mutable_host_bytes();
  const cpu::Walk walk(problem.y.shape(), {&problem.y, &problem.gate, &problem.up});
  walk.parallel([&](const cpu::Walk::Offsets& offsets, int64_t count) {
    alignas(64) float active[cpu::kPiece];
    alignas(64) float buffer[cpu::kPiece];
    const float* gate =
        cpu::read_floats(rows, dtype, from_gate + offsets[1] * bytes, walk.stride(1), count, buffer);
    rows.unary({problem.activation}, gate, active, count);
    const float* up =
        cpu::read_floats(rows, dtype, from_up + offsets[2] * bytes, walk.stride(2), count, buffer);
    std::byte* target = to + offsets[0] * bytes;
    float* y = cpu::place_for(dtype, target, walk.stride(0), buffer);
    rows.binary(Binary::kMultiply, active, up, y, count);
    cpu::write_floats(rows, y, count, dtype, target, walk.stride(0));
  });
}

constexpr Kernel<GateProblem> kKernels[] = {
    {"rows", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

struct GateGradientProblem {
  Unary activation;
  Tensor gate;
  Tensor up;
  Tensor dy;
  Tensor dgate;
  Tensor dup;
};

/// The activation and its slope, and three products.
Cost cost_of(const GateGradientProblem& problem) {
  const Cost forward = gated_cost(problem.activation, problem.gate.shape(), problem.gate.dtype());
  const double bytes =
      static_cast<double>(problem.gate.element_count()) * static_cast<double>(size_of(problem.gate.dtype()));
  return {2 * forward.operations, 3 * bytes, 2 * bytes};
}

void run_gradient_reference(const GateGradientProblem& problem) {
  const Elements gate(problem.gate);
  const Elements up(problem.up);
  const Elements dy(problem.dy);
  Elements dgate(problem.dgate);
  Elements dup(problem.dup);
  for (int64_t i = 0; i < dy.count(); ++i) {
    dgate.set(i, dy[i] * up[i] * slope_of({problem.activation}, gate[i]));
    dup.set(i, dy[i] * value_of({problem.activation}, gate[i]));
  }
}

void run_gradient_cpu(const GateGradientProblem& problem) {
  const cpu::RowKernels& rows = cpu::row_kernels();
  const cpu::GradientKernels& kernels = cpu::gradient_kernels();
  const DType dtype = problem.gate.dtype();
  const int64_t bytes = size_of(dtype);
  const std::byte* from_gate = problem.gate.host_bytes();
  const std::byte* from_up = problem.up.host_bytes();
  const std::byte* from_dy = problem.dy.host_bytes();
  std::byte* to_gate = problem.dgate.mutable_host_bytes();
  std::byte* to_up = problem.dup.mutable_host_bytes();
  // Both results are dense, so that one of them tells where the other's elements are.
  const cpu::Walk walk(problem.dy.shape(), {&problem.dgate, &problem.gate, &problem.up, &problem.dy});
  walk.parallel([&](const cpu::Walk::Offsets& offsets, int64_t count) {
    alignas(64) float buffers[5][cpu::kPiece];
    const auto read = [&](const std::byte* from, size_t operand, float* buffer) {
      return cpu::read_floats(rows, dtype, from + offsets[operand] * bytes,
                              walk.stride(static_cast<int>(operand)), count, buffer);
    };
    const float* gate = read(from_gate, 1, buffers[0]);
    const float* up = read(from_up, 2, buffers[1]);
    const float* dy = read(from_dy, 3, buffers[2]);
    std::byte* gate_target = to_gate + offsets[0] * bytes;
    std::byte* up_target = to_up + offsets[0] * bytes;
    float* dgate = cpu::place_for(dtype, gate_target, walk.stride(0), buffers[3]);
    float* dup = cpu::place_for(dtype, up_target, walk.stride(0), buffers[4]);
    kernels.gate(problem.activation, gate, up, dy, dgate, dup, count);
    cpu::write_floats(rows, dgate, count, dtype, gate_target, walk.stride(0));
    cpu::write_floats(rows, dup, count, dtype, up_target, walk.stride(0));
  });
}

constexpr Kernel<GateGradientProblem> kGradientKernels[] = {
    {"rows", Device::kCpu, nullptr, run_gradient_cpu},
    {"reference", Device::kReference, nullptr, run_gradient_reference},
};

void record(Unary activation, const Tensor& gate, const Tensor& up, Tensor& y) {
  autograd::record(
      y, "gated", {&gate, &up},
      [activation, gate = gate.detach(), up = up.detach()](const Tensor& dy, autograd::Gradients& inputs) {
        const auto empty = [&] { return Tensor::empty(dy.shape(), dy.dtype(), dy.device()); };
        const GateGradientProblem problem{activation, gate, up, dy, empty(), empty()};
        choose<GateGradientProblem>("gated", kGradientKernels, dy.device(), problem).run(problem);
        inputs.add(0, problem.dgate);
        inputs.add(1, problem.dup);
      });
}

void check(Unary activation, const Tensor& gate, const Tensor& up) {
  if (!is_activation(activation))
    failed("gated takes an activation ({}), got {}", activation_names(), name_of(activation));
  require_floating("gated", "gate", gate);
  require_shape("gated", "up", up, gate.shape());
  require_one_dtype("gated", {&gate, &up});
  require_one_device("gated", {&gate, &up});
}

void run(const GateProblem& problem) {
  choose<GateProblem>("gated", kKernels, problem.y.device(), problem).run(problem);
}

}  // namespace

std::optional<Unary> find_activation(std::string_view name) {
  for (const Name& known : kNames)
    if (known.name == name) return known.function;
  return std::nullopt;
}

std::string activation_names() {
  std::string names;
  for (const Name& known : kNames) names.append(names.empty() ? "" : ", ").append(known.name);
  return names;
}

bool is_activation(Unary function) {
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](const Name& known) { return known.function == function; });
}

Tensor gated(Unary activation, const Tensor& gate, const Tensor& up) {
  check(activation, gate, up);
  Tensor y = Tensor::empty(gate.shape(), gate.dtype(), gate.device());
  run({activation, gate, up, y});
  if (autograd::needed(gate, up)) record(activation, gate, up, y);
  return y;
}

Tensor gated(Unary activation, const Tensor& gate_and_up) {
  require_floating("gated", "gate_and_up", gate_and_up);
  if (gate_and_up.rank() < 1 || gate_and_up.dim(-1) % 2 != 0)
    failed("gated takes gate and up side by side, an even last dimension, got {}", gate_and_up.to_string());
  const int64_t half = gate_and_up.dim(-1) / 2;
  return gated(activation, gate_and_up.slice(-1, 0, half), gate_and_up.slice(-1, half, 2 * half));
}

void gated_in_place(Unary activation, Tensor& gate, const Tensor& up) {
  check(activation, gate, up);
  if (gate.is_read_only()) failed("gated in place cannot write {}: it is read-only", gate.to_string());
  if (!autograd::may_overwrite(gate) || autograd::needed(gate, up)) {
    gate = gated(activation, gate, up);
    return;
  }
  run({activation, gate, up.shares_storage_with(gate) ? up.clone() : up, gate});
}

Cost gated_cost(Unary activation, const Shape& gate, DType dtype) {
  const Cost activated = unary_cost({activation}, gate, dtype);
  return {activated.operations + static_cast<double>(gate.element_count()), 2 * activated.bytes_read,
          activated.bytes_written};
}

}  // namespace martlet::ops
