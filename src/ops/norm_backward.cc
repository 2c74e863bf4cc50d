#include "ops/norm_backward.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/thread_pool.h"
#include "ops/check.h"
#include "ops/cpu/gradient_kernels.h"
#include "ops/cpu/row_access.h"
#include "ops/kernel.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct Problem {
  const NormBackward& norm;
  Tensor dy;
  NormGradients out;
};

Cost cost_of(const Problem& problem) {
  const double count = static_cast<double>(problem.dy.element_count());
  const double bytes = count * static_cast<double>(size_of(problem.dy.dtype()));
  return {12 * count, 2 * bytes, problem.out.x.defined() ? bytes : 0};
}

/// One row in double: h, and 1 / sqrt(variance + eps).
struct ReferenceRow {
  std::vector<double> h;
  double scale = 0;

  ReferenceRow(const NormBackward& norm, const Elements& x, int64_t begin, int64_t n)
      : h(static_cast<size_t>(n)) {
    double mean = 0;
    for (int64_t k = 0; norm.centred && k < n; ++k) mean += x[begin + k];
    mean /= static_cast<double>(n);
    double squares = 0;
    for (int64_t k = 0; k < n; ++k) squares += (x[begin + k] - mean) * (x[begin + k] - mean);
    scale = 1 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(norm.eps));
    for (int64_t k = 0; k < n; ++k) h[static_cast<size_t>(k)] = (x[begin + k] - mean) * scale;
  }
};

void run_reference(const Problem& problem) {
  const NormBackward& norm = problem.norm;
  const Elements x(norm.x);
  const Elements dy(problem.dy);
  const int64_t n = norm.x.dim(-1);
  std::vector<double> weight(static_cast<size_t>(n), 1.0);
  if (norm.weight.defined()) weight = Elements(norm.weight).all();
  for (double& value : weight) value += static_cast<double>(norm.weight_offset);
  std::vector<double> dweight(static_cast<size_t>(n));
  std::vector<double> dbias(static_cast<size_t>(n));
  for (int64_t begin = 0; begin < x.count(); begin += n) {
    const ReferenceRow row(norm, x, begin, n);
    double mean_of_g = 0;
    double mean_of_gh = 0;
    for (int64_t k = 0; k < n; ++k) {
      const size_t at = static_cast<size_t>(k);
      const double g = dy[begin + k] * weight[at];
      mean_of_g += norm.centred ? g / static_cast<double>(n) : 0;
      mean_of_gh += g * row.h[at] / static_cast<double>(n);
      dweight[at] += dy[begin + k] * row.h[at];
      dbias[at] += dy[begin + k];
    }
    if (!problem.out.x.defined()) continue;
    Elements dx(problem.out.x);
    for (int64_t k = 0; k < n; ++k) {
      const size_t at = static_cast<size_t>(k);
      dx.set(begin + k, row.scale * (dy[begin + k] * weight[at] - mean_of_g - row.h[at] * mean_of_gh));
    }
  }
  for (const auto& [tensor, values] :
       {std::pair(&problem.out.weight, &dweight), {&problem.out.bias, &dbias}}) {
    if (!tensor->defined()) continue;
    Elements elements(*tensor);
    for (int64_t k = 0; k < n; ++k) elements.set(k, (*values)[static_cast<size_t>(k)]);
  }
}

/// Blocks of rows whose sums stand apart. Their number depends on the rows alone.
constexpr int64_t kMostBlocks = 64;
constexpr int64_t kLeastRows = 16;

class CpuRun {
 public:
  explicit CpuRun(const Problem& problem)
      : problem_(problem),
        norm_(problem.norm),
        x_(norm_.x),
        dy_(problem.dy),
        n_(x_.length()),
        block_rows_(std::max(kLeastRows, (x_.count() + kMostBlocks - 1) / kMostBlocks)),
        blocks_((x_.count() + block_rows_ - 1) / block_rows_) {
    if (norm_.weight.defined()) {
      weight_ = cpu::read_parameter(rows_, norm_.weight, weight_storage_);
    } else if (norm_.weight_offset != 0) {
      weight_storage_.assign(static_cast<size_t>(n_), 1.0f);
      weight_ = weight_storage_.data();
    }
    if (norm_.weight_offset == 0) return;
    const float* values = weight_;
    weight_storage_.resize(static_cast<size_t>(n_));
    rows_.unary({Unary::kShift, norm_.weight_offset}, values, weight_storage_.data(), n_);
    weight_ = weight_storage_.data();
  }

  void run() {
    const bool sums = problem_.out.weight.defined() || problem_.out.bias.defined();
    dweights_.assign(static_cast<size_t>(sums ? blocks_ * n_ : 0), 0.0f);
    dbiases_.assign(static_cast<size_t>(problem_.out.bias.defined() ? blocks_ * n_ : 0), 0.0f);
    const int64_t grain = std::max<int64_t>(1, cpu::row_grain(n_) / block_rows_);
    parallel_for(blocks_, grain, [&](int64_t begin, int64_t end) {
      std::vector<float> buffers(static_cast<size_t>(3 * n_));
      for (int64_t block = begin; block < end; ++block) run_block(block, buffers.data(), sums);
    });
    write_total(dweights_, problem_.out.weight);
    write_total(dbiases_, problem_.out.bias);
  }

 private:
  void run_block(int64_t block, float* buffers, bool sums) {
    const DType dtype = norm_.x.dtype();
    const Tensor& dx = problem_.out.x;
    const double length = static_cast<double>(n_);
    const int64_t end = std::min(x_.count(), (block + 1) * block_rows_);
    for (int64_t row = block * block_rows_; row < end; ++row) {
      const float* values =
          cpu::read_floats(rows_, dtype, norm_.x.host_bytes() + x_.offset(row), x_.stride(), n_, buffers);
      const float* gradient =
          cpu::read_floats(rows_, problem_.dy.dtype(), problem_.dy.host_bytes() + dy_.offset(row),
                           dy_.stride(), n_, buffers + n_);
      const float mean = norm_.centred ? static_cast<float>(rows_.sum(values, n_) / length) : 0.0f;
      const double variance = rows_.sum_of_squares(values, mean, n_) / length;
      const float scale = static_cast<float>(1 / std::sqrt(variance + static_cast<double>(norm_.eps)));
      const cpu::NormRow line{values, gradient, weight_, mean, scale, n_};
      if (sums)
        kernels_.norm_parameters(line, dweights_.data() + block * n_,
                                 dbiases_.empty() ? nullptr : dbiases_.data() + block * n_);
      if (!dx.defined()) continue;
      const float mean_of_g = norm_.centred ? static_cast<float>(kernels_.norm_sum(line) / length) : 0.0f;
      const float mean_of_gh = static_cast<float>(kernels_.norm_dot(line) / length);
      std::byte* target = dx.mutable_host_bytes() + row * n_ * size_of(dtype);
      float* result = cpu::place_for(dtype, target, 1, buffers + 2 * n_);
      kernels_.norm(line, mean_of_g, mean_of_gh, result);
      cpu::write_floats(rows_, result, n_, dtype, target, 1);
    }
  }

  /// The blocks' sums, added one block after another.
  void write_total(const std::vector<float>& parts, const Tensor& to) const {
    if (!to.defined()) return;
    std::vector<float> total(static_cast<size_t>(n_), 0.0f);
    for (int64_t block = 0; block < blocks_; ++block)
      rows_.binary(Binary::kAdd, total.data(), parts.data() + block * n_, total.data(), n_);
    cpu::write_floats(rows_, total.data(), n_, to.dtype(), to.mutable_host_bytes(), 1);
  }

  const Problem& problem_;
  const NormBackward& norm_;
  const cpu::RowKernels& rows_ = cpu::row_kernels();
  const cpu::GradientKernels& kernels_ = cpu::gradient_kernels();
  cpu::Rows x_;
  cpu::Rows dy_;
  int64_t n_;
  int64_t block_rows_;
  int64_t blocks_;
  std::vector<float> weight_storage_;
  const float* weight_ = nullptr;
  std::vector<float> dweights_;
  std::vector<float> dbiases_;
};

void run_cpu(const Problem& problem) {
  CpuRun(problem).run();
}

constexpr Kernel<Problem> kKernels[] = {
    {"rows", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

}  // namespace

NormGradients norm_gradients(const NormBackward& norm, const Tensor& dy, const WantedNormGradients& wanted) {
  require_shape("norm_gradients", "dy", dy, norm.x.shape());
  require_floating("norm_gradients", "dy", dy);
  require_one_device("norm_gradients", {&norm.x, &dy, &norm.weight});
  const Shape parameter{norm.x.dim(-1)};
  Problem problem{norm, dy, {}};
  if (wanted.x) problem.out.x = Tensor::empty(norm.x.shape(), norm.x.dtype(), norm.x.device());
  if (wanted.weight) problem.out.weight = Tensor::empty(parameter, norm.weight.dtype(), norm.x.device());
  if (wanted.bias) problem.out.bias = Tensor::empty(parameter, norm.bias_dtype, norm.x.device());
  choose<Problem>("norm_gradients", kKernels, norm.x.device(), problem).run(problem);
  return problem.out;
}

}  // namespace martlet::ops
