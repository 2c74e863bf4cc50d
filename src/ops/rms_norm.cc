#include "ops/rms_norm.h"

#include <cmath>
#include <vector>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/binary.h"
#include "ops/check.h"
#include "ops/cpu/rms_rows.h"
#include "ops/cpu/row_access.h"
#include "ops/norm_backward.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct RmsNormProblem {
  Tensor x;
  Tensor residual;  ///< x is added to it first; or nothing
  Tensor weight;    ///< or nothing
  float eps;
  float weight_offset;
  Tensor y;
};

Cost cost_of(const RmsNormProblem& problem) {
  return rms_norm_cost(problem.x.shape(), problem.x.dtype());
}

void run_reference(const RmsNormProblem& problem) {
  const bool added = problem.residual.defined();
  const Elements x(problem.x);
  Elements sum(added ? problem.residual : problem.x);
  Elements y(problem.y);
  const int64_t n = problem.x.dim(-1);
  std::vector<double> weight(static_cast<size_t>(n), 1.0);
  if (problem.weight.defined()) weight = Elements(problem.weight).all();
  for (int64_t i = 0; added && i < x.count(); ++i) sum.set(i, sum[i] + x[i]);
  for (int64_t row = 0; row < x.count(); row += n) {
    double squares = 0;
    for (int64_t k = 0; k < n; ++k) squares += sum[row + k] * sum[row + k];
    const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(problem.eps));
    for (int64_t k = 0; k < n; ++k)
      y.set(row + k, sum[row + k] * scale *
                         (weight[static_cast<size_t>(k)] + static_cast<double>(problem.weight_offset)));
  }
}

void run_cpu(const RmsNormProblem& problem) {
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const DType dtype = problem.x.dtype();
  const DType result_dtype = problem.y.dtype();
  const cpu::Rows x(problem.x);
  const cpu::Rows y(problem.y);
  const int64_t n = x.length();
  const cpu::RmsRows norm({problem.weight, problem.eps, problem.weight_offset}, n);
  const std::byte* from = problem.x.host_bytes();
  std::byte* to = problem.y.mutable_host_bytes();
  const bool added = problem.residual.defined();
  const cpu::Rows sum(added ? problem.residual : problem.x);
  std::byte* residual = added ? problem.residual.mutable_host_bytes() : nullptr;

  parallel_for(x.count(), cpu::row_grain(n), [&](int64_t begin, int64_t end) {
    const bool in_place =
        dtype == DType::kF32 && result_dtype == DType::kF32 && x.stride() == 1 && sum.stride() == 1;
    std::vector<float> buffers(static_cast<size_t>(in_place ? 0 : 2 * n));
    for (int64_t row = begin; row < end; ++row) {
      const float* values =
          cpu::read_floats(kernels, dtype, from + x.offset(row), x.stride(), n, buffers.data());
      if (added) {
        // The sum is rounded to the residual's dtype, and the norm is that of the rounded sum.
        std::byte* place = residual + sum.offset(row);
        float* total = cpu::place_for(dtype, place, sum.stride(), buffers.data() + n);
        const float* before = cpu::read_floats(kernels, dtype, place, sum.stride(), n, buffers.data() + n);
        kernels.binary(Binary::kAdd, before, values, total, n);
        cpu::write_floats(kernels, total, n, dtype, place, sum.stride());
        values = cpu::read_floats(kernels, dtype, place, sum.stride(), n, buffers.data());
      }
      std::byte* target = to + y.offset(row);
      float* result = cpu::place_for(result_dtype, target, y.stride(), buffers.data());
      norm.normalise(values, norm.scale(values), 0, n, result);
      cpu::write_floats(kernels, result, n, result_dtype, target, y.stride());
    }
  });
}

constexpr Kernel<RmsNormProblem> kKernels[] = {
    {"rows", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

Tensor run(std::string_view operation, const Tensor& x, const Tensor& residual, const Tensor& weight,
           float eps, float weight_offset, DType result) {
  require_floating(operation, "x", x);
  require_rows(operation, x);
  if (weight.defined()) {
    require_floating(operation, "weight", weight);
    require_shape(operation, "weight", weight, {x.dim(-1)});
  }
  require_one_device(operation, {&x, &weight, &residual});
  if (!is_floating(result)) failed("{} gives a floating dtype, asked for {}", operation, name_of(result));
  Tensor y = Tensor::empty(x.shape(), result, x.device());
  const RmsNormProblem problem{x, residual, weight, eps, weight_offset, y};
  choose<RmsNormProblem>(operation, kKernels, x.device(), problem).run(problem);
  return y;
}

void record(const Tensor& x, const Tensor& weight, float eps, float weight_offset, Tensor& y) {
  const NormBackward norm{x.detach(), weight.detach(), weight_offset, eps};
  autograd::record(y, "rms_norm", {&x, &weight}, [norm](const Tensor& dy, autograd::Gradients& inputs) {
    const NormGradients gradients =
        norm_gradients(norm, dy, {.x = inputs.needs(0), .weight = inputs.needs(1)});
    inputs.add(0, gradients.x);
    inputs.add(1, gradients.weight);
  });
}

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, float eps, float weight_offset,
                std::optional<DType> result) {
  if (!x.defined()) failed("rms_norm takes x, got nothing");
  Tensor y = run("rms_norm", x, {}, weight, eps, weight_offset, result.value_or(x.dtype()));
  if (autograd::needed(x, weight)) record(x, weight, eps, weight_offset, y);
  return y;
}

Tensor add_rms_norm(Tensor& residual, const Tensor& x, const Tensor& weight, float eps, float weight_offset) {
  require_floating("add_rms_norm", "residual", residual);
  require_shape("add_rms_norm", "x", x, residual.shape());
  require_one_dtype("add_rms_norm", {&residual, &x});
  if (residual.is_read_only()) failed("add_rms_norm cannot add to {}: it is read-only", residual.to_string());
  if (!autograd::may_overwrite(residual) || autograd::needed(residual, x, weight)) {
    add_in_place(residual, x);
    return rms_norm(residual, weight, eps, weight_offset);
  }
  return run("add_rms_norm", x.shares_storage_with(residual) ? x.clone() : x, residual, weight, eps,
             weight_offset, x.dtype());
}

Cost rms_norm_cost(const Shape& x, DType dtype) {
  const double count = static_cast<double>(x.element_count());
  const double bytes = count * static_cast<double>(size_of(dtype));
  return {4 * count, bytes, bytes};
}

}  // namespace martlet::ops
