#include "ops/layer_norm.h"

#include <cmath>
#include <vector>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/check.h"
#include "ops/cpu/row_access.h"
#include "ops/norm_backward.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct LayerNormProblem {
  Tensor x;
  Tensor weight;  ///< or nothing
  Tensor bias;    ///< or nothing
  float eps;
  Tensor y;
};

Cost cost_of(const LayerNormProblem& problem) {
  return layer_norm_cost(problem.x.shape(), problem.x.dtype());
}

void run_reference(const LayerNormProblem& problem) {
  const Elements x(problem.x);
  Elements y(problem.y);
  const int64_t n = problem.x.dim(-1);
  std::vector<double> weight(static_cast<size_t>(n), 1.0);
  std::vector<double> bias(static_cast<size_t>(n), 0.0);
  if (problem.weight.defined()) weight = Elements(problem.weight).all();
  if (problem.bias.defined()) bias = Elements(problem.bias).all();
  for (int64_t row = 0; row < x.count(); row += n) {
    double mean = 0;
    for (int64_t k = 0; k < n; ++k) mean += x[row + k];
    mean /= static_cast<double>(n);
    double variance = 0;
    for (int64_t k = 0; k < n; ++k) variance += (x[row + k] - mean) * (x[row + k] - mean);
    variance /= static_cast<double>(n);
    const double scale = 1 / std::sqrt(variance + static_cast<double>(problem.eps));
    for (int64_t k = 0; k < n; ++k)
      y.set(row + k,
            (x[row + k] - mean) * scale * weight[static_cast<size_t>(k)] + bias[static_cast<size_t>(k)]);
  }
}

void run_cpu(const LayerNormProblem& problem) {
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const DType dtype = problem.x.dtype();
  const cpu::Rows x(problem.x);
  const cpu::Rows y(problem.y);
  const int64_t n = x.length();
  std::vector<float> weight_storage;
  std::vector<float> bias_storage;
  // The row kernel takes a bias only beside a weight.
  if (problem.bias.defined() && !problem.weight.defined())
    weight_storage.assign(static_cast<size_t>(n), 1.0f);
  const float* weight = problem.weight.defined()
                            ? cpu::read_parameter(kernels, problem.weight, weight_storage)
                        : problem.bias.defined() ? weight_storage.data()
                                                 : nullptr;
  const float* bias =
      problem.bias.defined() ? cpu::read_parameter(kernels, problem.bias, bias_storage) : nullptr;
  const std::byte* from = problem.x.host_bytes();
  std::byte* to = problem.y.mutable_host_bytes();
  parallel_for(x.count(), cpu::row_grain(n), [&](int64_t begin, int64_t end) {
    std::vector<float> buffer(static_cast<size_t>(dtype == DType::kF32 && x.stride() == 1 ? 0 : n));
    for (int64_t row = begin; row < end; ++row) {
      const float* values =
          cpu::read_floats(kernels, dtype, from + x.offset(row), x.stride(), n, buffer.data());
      const double length = static_cast<double>(n);
      const float mean = static_cast<float>(kernels.sum(values, n) / length);
      const double variance = kernels.sum_of_squares(values, mean, n) / length;
      const float scale = static_cast<float>(1 / std::sqrt(variance + static_cast<double>(problem.eps)));
      std::byte* target = to + y.offset(row);
      float* result = cpu::place_for(dtype, target, y.stride(), buffer.data());
      kernels.normalise(values, mean, scale, weight, bias, result, n);
      cpu::write_floats(kernels, result, n, dtype, target, y.stride());
    }
  });
}

constexpr Kernel<LayerNormProblem> kKernels[] = {
    {"rows", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

void record(const LayerNormProblem& problem, Tensor& y) {
  NormBackward norm{problem.x.detach(), problem.weight.detach(), 0, problem.eps, true};
  if (problem.bias.defined()) norm.bias_dtype = problem.bias.dtype();
  autograd::record(y, "layer_norm", {&problem.x, &problem.weight, &problem.bias},
                   [norm](const Tensor& dy, autograd::Gradients& inputs) {
                     const NormGradients gradients = norm_gradients(
                         norm, dy,
                         {.x = inputs.needs(0), .weight = inputs.needs(1), .bias = inputs.needs(2)});
                     inputs.add(0, gradients.x);
                     inputs.add(1, gradients.weight);
                     inputs.add(2, gradients.bias);
                   });
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps) {
  require_floating("layer_norm", "x", x);
  require_rows("layer_norm", x);
  for (const Tensor* parameter : {&weight, &bias}) {
    if (!parameter->defined()) continue;
    const std::string_view name = parameter == &weight ? "weight" : "bias";
    require_floating("layer_norm", name, *parameter);
    require_shape("layer_norm", name, *parameter, {x.dim(-1)});
  }
  require_one_device("layer_norm", {&x, &weight, &bias});
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const LayerNormProblem problem{x, weight, bias, eps, y};
  choose<LayerNormProblem>("layer_norm", kKernels, x.device(), problem).run(problem);
  if (autograd::needed(x, weight, bias)) record(problem, y);
  return y;
}

Cost layer_norm_cost(const Shape& x, DType dtype) {
  const double count = static_cast<double>(x.element_count());
  const double bytes = count * static_cast<double>(size_of(dtype));
  return {7 * count, bytes, bytes};
}

}  // namespace martlet::ops
