#include "ops/optimizer_steps.h"

#include <algorithm>
#include <cmath>

#include "base/thread_pool.h"
#include "ops/cpu/row_access.h"
#include "ops/cpu/step_kernels.h"
#include "ops/cpu/walk.h"
#include "ops/cpu_features.h"
#include "ops/reference.h"

namespace martlet::ops {

namespace cpu {

const StepKernels& step_kernels() {
  if (cpu_features().avx512) return step_kernels_avx512();
  if (cpu_features().avx2) return step_kernels_avx2();
  return step_kernels_portable();
}

}  // namespace cpu

namespace {

template <typename Options>
struct StepProblem {
  const Options& options;
  Tensor parameter;
  Tensor gradient;
  Tensor first;   ///< moment or momentum; may be undefined for SGD
  Tensor second;  ///< AdamW's
};

/// AdamW's arithmetic for all; what is read and written is what there is.
template <typename Options>
Cost cost_of(const StepProblem<Options>& problem) {
  Cost cost{adamw_cost(problem.parameter.element_count()).operations, 0, 0};
  for (const Tensor* kept : {&problem.parameter, &problem.first, &problem.second})
    if (kept->defined()) cost.bytes_written += static_cast<double>(kept->byte_count());
  cost.bytes_read = cost.bytes_written + static_cast<double>(problem.gradient.byte_count());
  return cost;
}

void check(std::string_view operation, const Tensor& parameter, const Tensor& gradient,
           std::initializer_list<const Tensor*> moments) {
  const auto check_one = [&](std::string_view name, const Tensor& tensor, bool may_be_bf16) {
    if (!tensor.defined()) failed("{} takes a {}, got nothing", operation, name);
    const bool dtype_fits = tensor.dtype() == DType::kF32 || (may_be_bf16 && tensor.dtype() == DType::kBF16);
    if (!dtype_fits || !tensor.is_contiguous() || tensor.shape() != parameter.shape() ||
        tensor.device() != parameter.device())
      failed("{} takes a {} f32{} on {}, dense, got {}", operation, name, parameter.shape().to_string(),
             name_of(parameter.device()), tensor.to_string());
  };
  check_one("parameter", parameter, false);
  check_one("gradient", gradient, true);
  for (const Tensor* moment : moments) check_one("moment", *moment, false);
}

float* elements(const Tensor& tensor) {
  if (!tensor.defined()) return nullptr;
  Tensor writable = tensor;
  return writable.mutable_data<float>();
}

/// Calls `row(p, g, first, second, count)` for pieces of all elements, on all threads.
template <typename Options, typename Row>
void each_piece(const StepProblem<Options>& problem, const Row& row) {
  const cpu::RowKernels& rows = cpu::row_kernels();
  float* p = elements(problem.parameter);
  float* first = elements(problem.first);
  float* second = elements(problem.second);
  const std::byte* g = problem.gradient.host_bytes();
  const DType dtype = problem.gradient.dtype();
  parallel_for(problem.parameter.element_count(), cpu::kGrain, [&](int64_t begin, int64_t end) {
    float buffer[cpu::kPiece];
    for (int64_t i = begin; i < end; i += cpu::kPiece) {
      const int64_t count = std::min(cpu::kPiece, end - i);
      const float* gradient = cpu::read_floats(rows, dtype, g + i * size_of(dtype), 1, count, buffer);
      row(p + i, gradient, first == nullptr ? nullptr : first + i, second == nullptr ? nullptr : second + i,
          count);
    }
  });
}

template <typename Options>
void run(std::string_view operation, std::span<const Kernel<StepProblem<Options>>> kernels,
         const StepProblem<Options>& problem) {
  if (problem.parameter.element_count() == 0) return;
  choose<StepProblem<Options>>(operation, kernels, problem.parameter.device(), problem).run(problem);
}

float f32(double value) {
  return static_cast<float>(value);
}

// AdamW

void adamw_reference(const StepProblem<AdamW>& problem) {
  const AdamW& o = problem.options;
  Elements p(problem.parameter), m(problem.first), v(problem.second);
  const Elements g(problem.gradient);
  const double correction1 = 1 - std::pow(o.beta1, static_cast<double>(o.step));
  const double correction2 = 1 - std::pow(o.beta2, static_cast<double>(o.step));
  for (int64_t i = 0; i < p.count(); ++i) {
    const double gradient = g[i] * o.gradient_scale;
    const double first = o.beta1 * m[i] + (1 - o.beta1) * gradient;
    const double second = o.beta2 * v[i] + (1 - o.beta2) * gradient * gradient;
    const double update = first / correction1 / (std::sqrt(second / correction2) + o.epsilon);
    p.set(i, p[i] * (1 - o.learning_rate * o.weight_decay) - o.learning_rate * update);
    m.set(i, first);
    v.set(i, second);
  }
}

void adamw_cpu(const StepProblem<AdamW>& problem) {
  const AdamW& o = problem.options;
  const auto step = static_cast<double>(o.step);
  const cpu::AdamWRow row{.keep = f32(1 - o.learning_rate * o.weight_decay),
                          .gradient_scale = f32(o.gradient_scale),
                          .fresh1 = f32(1 - o.beta1),
                          .beta2 = f32(o.beta2),
                          .fresh2 = f32(1 - o.beta2),
                          .rate = f32(o.learning_rate / (1 - std::pow(o.beta1, step))),
                          .root_scale = f32(1 / std::sqrt(1 - std::pow(o.beta2, step))),
                          .epsilon = f32(o.epsilon)};
  each_piece(problem, [&](float* p, const float* g, float* m, float* v, int64_t count) {
    cpu::step_kernels().adamw(row, p, g, m, v, count);
  });
}

constexpr Kernel<StepProblem<AdamW>> kAdamWKernels[] = {
    {"rows", Device::kCpu, nullptr, adamw_cpu},
    {"reference", Device::kReference, nullptr, adamw_reference},
};

// SGD

void sgd_reference(const StepProblem<Sgd>& problem) {
  const Sgd& o = problem.options;
  Elements p(problem.parameter);
  const Elements g(problem.gradient);
  for (int64_t i = 0; i < p.count(); ++i) {
    double step = g[i] * o.gradient_scale;
    if (problem.first.defined()) {
      Elements b(problem.first);
      const double velocity = o.momentum * b[i] + step;
      b.set(i, velocity);
      step = o.nesterov ? step + o.momentum * velocity : velocity;
    }
    p.set(i, p[i] * (1 - o.learning_rate * o.weight_decay) - o.learning_rate * step);
  }
}

void sgd_cpu(const StepProblem<Sgd>& problem) {
  const Sgd& o = problem.options;
  const cpu::SgdRow row{.keep = f32(1 - o.learning_rate * o.weight_decay),
                        .gradient_scale = f32(o.gradient_scale),
                        .momentum = f32(o.momentum),
                        .rate = f32(o.learning_rate),
                        .nesterov = o.nesterov};
  each_piece(problem, [&](float* p, const float* g, float* b, float*, int64_t count) {
    cpu::step_kernels().sgd(row, p, g, b, count);
  });
}

constexpr Kernel<StepProblem<Sgd>> kSgdKernels[] = {
    {"rows", Device::kCpu, nullptr, sgd_cpu},
    {"reference", Device::kReference, nullptr, sgd_reference},
};

// Lion

void lion_reference(const StepProblem<Lion>& problem) {
  const Lion& o = problem.options;
  Elements p(problem.parameter), m(problem.first);
  const Elements g(problem.gradient);
  for (int64_t i = 0; i < p.count(); ++i) {
    const double gradient = g[i] * o.gradient_scale;
    const double direction = o.beta1 * m[i] + (1 - o.beta1) * gradient;
    const double sign = direction > 0 ? 1 : direction < 0 ? -1 : 0;
    p.set(i, p[i] * (1 - o.learning_rate * o.weight_decay) - o.learning_rate * sign);
    m.set(i, o.beta2 * m[i] + (1 - o.beta2) * gradient);
  }
}

void lion_cpu(const StepProblem<Lion>& problem) {
  const Lion& o = problem.options;
  const cpu::LionRow row{.keep = f32(1 - o.learning_rate * o.weight_decay),
                         .gradient_scale = f32(o.gradient_scale),
                         .beta1 = f32(o.beta1),
                         .fresh1 = f32(1 - o.beta1),
                         .beta2 = f32(o.beta2),
                         .fresh2 = f32(1 - o.beta2),
                         .rate = f32(o.learning_rate)};
  each_piece(problem, [&](float* p, const float* g, float* m, float*, int64_t count) {
    cpu::step_kernels().lion(row, p, g, m, count);
  });
}

constexpr Kernel<StepProblem<Lion>> kLionKernels[] = {
    {"rows", Device::kCpu, nullptr, lion_cpu},
    {"reference", Device::kReference, nullptr, lion_reference},
};

}  // namespace

void adamw_step(const AdamW& options, const Tensor& parameter, const Tensor& gradient,
                const Tensor& first_moment, const Tensor& second_moment) {
  check("adamw_step", parameter, gradient, {&first_moment, &second_moment});
  if (options.step < 1) failed("adamw_step counts steps from 1, got {}", options.step);
  run<AdamW>("adamw_step", kAdamWKernels, {options, parameter, gradient, first_moment, second_moment});
}

Cost adamw_cost(int64_t elements) {
  const auto count = static_cast<double>(elements);
  return {15 * count, 16 * count, 12 * count};
}

void sgd_step(const Sgd& options, const Tensor& parameter, const Tensor& gradient,
              const Tensor& momentum_buffer) {
  if (options.momentum != 0 || momentum_buffer.defined())
    check("sgd_step", parameter, gradient, {&momentum_buffer});
  else
    check("sgd_step", parameter, gradient, {});
  run<Sgd>("sgd_step", kSgdKernels, {options, parameter, gradient, momentum_buffer, {}});
}

void lion_step(const Lion& options, const Tensor& parameter, const Tensor& gradient, const Tensor& moment) {
  check("lion_step", parameter, gradient, {&moment});
  run<Lion>("lion_step", kLionKernels, {options, parameter, gradient, moment, {}});
}

}  // namespace martlet::ops
