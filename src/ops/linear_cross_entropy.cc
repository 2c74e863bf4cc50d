#include "ops/linear_cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/check.h"
#include "ops/cpu/row_access.h"
#include "ops/cross_entropy.h"
#include "ops/linear.h"
#include "ops/linear_gradient.h"
#include "ops/matmul.h"
#include "ops/mixed_matmul.h"
#include "ops/targets.h"
#include "ops/unary.h"

namespace martlet::ops {
namespace {

// Logits of a chunk: half of a common L3 cache, but enough rows that reading the weight is nothing beside the
// products.
constexpr int64_t kChunkBytes = 16 << 20;
constexpr int64_t kLeastRows = 512;

// Rows of the logits' gradient that lie a multiple of this apart would share a few sets of the L1 cache.
constexpr int64_t kConflict = 1024;
constexpr int64_t kPadding = 64;  // bytes

/// The loss of a row of logits. Where `gradient` is not null, it gets exp(logit - log_sum) minus 1 at the
/// target, times `factor`; it may be the row. A pass each for the maximum, the exponentials and the factor,
/// in the L2 cache.
double loss_of_row(const float* row, int64_t classes, int64_t target, float* gradient, double factor) {
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const float chosen = row[target];
  float most = -INFINITY;
  for (int64_t begin = 0; begin < classes; begin += cpu::kSumBlock) {
    const float here = kernels.largest(row + begin, std::min(cpu::kSumBlock, classes - begin));
    most = std::isnan(here) || here > most ? here : most;
  }
  alignas(64) float buffer[cpu::kSumBlock];
  double sum = 0;
  for (int64_t begin = 0; begin < classes; begin += cpu::kSumBlock)
    sum += kernels.exponentials(row + begin, most, gradient == nullptr ? buffer : gradient + begin,
                                std::min(cpu::kSumBlock, classes - begin));
  if (gradient != nullptr) {
    kernels.unary({Unary::kScale, static_cast<float>(factor / sum)}, gradient, gradient, classes);
    gradient[target] -= static_cast<float>(factor);
  }
  return std::log(sum) + (static_cast<double>(most) - static_cast<double>(chosen));
}

/// Rows of x to losses and to gradients, chunk by chunk.
class Head {
 public:
  Head(const Tensor& x, const Weight& weight, const std::vector<int64_t>& targets,
       const LinearLossOptions& options)
      : x_(is_f16(options) ? rounded_to_f16(x) : x),
        weight_(weight.dense().detach()),
        targets_(targets),
        options_(options) {
    if (is_f16(options)) weight_ = rounded_to_f16(weight_);
    for (const int64_t target : targets) counted_ += target == kIgnoredClass ? 0 : 1;
    losses_.resize(targets.size());
  }

  void run(bool x_learns, bool weight_learns) {
    if (x_learns) dx = Tensor::empty(x_.shape(), x_.dtype());
    const int64_t rows = linear_cross_entropy_chunk(weight_.dim(0));
    for (int64_t begin = 0; begin < x_.dim(0); begin += rows)
      run_chunk(begin, std::min(begin + rows, x_.dim(0)), x_learns, weight_learns);
  }

  double loss() const {
    double sum = 0;
    for (const double loss : losses_) sum += loss;
    return sum / static_cast<double>(counted_);
  }

  /// What `dx` and `dweight` are to be multiplied by for the gradient of the mean. Gradients of f16 are
  /// those of the sum, in whose range a softmax of many classes keeps its small terms.
  double share() const { return is_f16(options_) ? 1 / static_cast<double>(counted_) : 1; }

  Tensor dx;
  Tensor dweight;

 private:
  static bool is_f16(const LinearLossOptions& options) { return options.factors == DType::kF16; }
  bool is_bf16() const { return options_.factors == DType::kBF16; }

  void run_chunk(int64_t begin, int64_t end, bool x_learns, bool weight_learns) {
    const Tensor x = x_.slice(0, begin, end);
    const Tensor& w = weight_;
    const bool gradient = x_learns || weight_learns;
    Tensor logits = is_bf16() ? mixed_matmul(x, w.transpose(0, 1), DType::kF32) : linear(x, Weight(w));
    if (logits.dtype() != DType::kF32) logits = cast(logits, DType::kF32);
    Tensor dlogits = rows_done(std::move(logits), begin, gradient);
    if (gradient && is_f16(options_)) dlogits = rounded_to_f16(dlogits);
    if (x_learns)
      dx.slice(0, begin, end)
          .copy_elements(is_bf16() ? mixed_matmul(dlogits, w, x.dtype()) : matmul(dlogits, w, x.dtype()));
    if (!weight_learns) return;
    const OwnerScope owner(Owner::kGradients);
    const Tensor turned = dlogits.transpose(0, 1);
    if (dweight.defined())
      matmul_add_in_place(dweight, turned, x);
    else
      dweight = matmul(turned, x, DType::kF32);
  }

  /// A place for the gradient of logits, in the dtype that the products after it take.
  Tensor place_for(const Shape& logits) const {
    const DType dtype = is_bf16() ? DType::kBF16 : DType::kF32;
    const int64_t size = size_of(dtype);
    const int64_t padding = logits[1] * size % kConflict == 0 ? kPadding / size : 0;
    return Tensor::empty({logits[0], logits[1] + padding}, dtype).slice(1, 0, logits[1]);
  }

  /// The rows' losses; with `gradient` also the logits' gradient.
  Tensor rows_done(Tensor logits, int64_t first, bool gradient) {
    const int64_t classes = logits.dim(1);
    Tensor dlogits = gradient ? place_for(logits.shape()) : Tensor();
    if (DryRun* dry_run = DryRun::current()) {
      dry_run->add("linear_cross_entropy", cross_entropy_cost(logits.shape(), DType::kF32));
      return dlogits;
    }
    float* from = logits.mutable_data<float>();
    std::byte* to = gradient ? dlogits.mutable_host_bytes() : nullptr;
    const int64_t row_bytes = gradient ? dlogits.strides()[0] * size_of(dlogits.dtype()) : 0;
    parallel_for(logits.dim(0), cpu::row_grain(classes), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        run_row(from + row * classes, classes, first + row, gradient ? to + row * row_bytes : nullptr);
    });
    return dlogits;
  }

  /// `to`: where the row's gradient goes, or null.
  void run_row(float* logits, int64_t classes, int64_t row, std::byte* to) {
    const cpu::RowKernels& kernels = cpu::row_kernels();
    const int64_t target = targets_[static_cast<size_t>(row)];
    float* gradient = to == nullptr || is_bf16() ? logits : reinterpret_cast<float*>(to);
    if (target == kIgnoredClass) {
      if (to != nullptr) std::fill_n(gradient, classes, 0.0f);
    } else {
      if (options_.logit_scale != 1)
        kernels.unary({Unary::kScale, options_.logit_scale}, logits, logits, classes);
      const double factor =
          static_cast<double>(options_.logit_scale) / (static_cast<double>(counted_) * share());
      losses_[static_cast<size_t>(row)] =
          loss_of_row(logits, classes, target, to == nullptr ? nullptr : gradient, factor);
    }
    if (to != nullptr && is_bf16()) kernels.narrow_bf16(logits, to, classes);
  }

  const Tensor x_;
  Tensor weight_;
  const std::vector<int64_t>& targets_;
  const LinearLossOptions& options_;
  int64_t counted_ = 0;
  std::vector<double> losses_;
};

/// As the two operations, for devices without row kernels.
Tensor composed(const Tensor& x, const Weight& weight, const Tensor& targets,
                const LinearLossOptions& options) {
  const Tensor logits = linear(x, weight);
  return cross_entropy(options.logit_scale == 1 ? logits : scale(logits, options.logit_scale), targets,
                       LossReduction::kMean, options.ignore_index);
}

/// Gradients of the mean, times the loss's own.
Tensor times(Tensor gradient, double factor) {
  if (factor != 1) scale_in_place(gradient, static_cast<float>(factor));
  return gradient;
}

}  // namespace

int64_t linear_cross_entropy_chunk(int64_t classes) {
  const int64_t row_bytes = std::max<int64_t>(1, classes) * size_of(DType::kF32);
  return std::max(kLeastRows, kChunkBytes / row_bytes);
}

Tensor linear_cross_entropy(const Tensor& x, const Weight& weight, const Tensor& targets,
                            const LinearLossOptions& options) {
  constexpr std::string_view kName = "linear_cross_entropy";
  if (!x.defined() || !weight.defined()) failed("{} takes a tensor and a weight, got nothing", kName);
  if (x.rank() != 2 || x.dim(1) != weight.columns())
    failed("{} of a weight {} takes x [rows, {}], got {}", kName, weight.shape().to_string(),
           weight.columns(), x.shape().to_string());
  if (weight.is_packed() || weight.storage().dtype() != DType::kF32)
    failed("{} takes a dense f32 weight, got {}", kName, weight.type_name());
  require_shape(kName, "targets", targets, {x.dim(0)});
  require_one_device(kName, {&x, &weight.storage(), &targets});
  if (x.device() != Device::kCpu) return composed(x, weight, targets, options);
  const std::vector<int64_t> classes = checked_targets(kName, targets, weight.rows(), options.ignore_index);
  const Tensor& matrix = weight.storage();
  const bool recorded = autograd::needed(x, matrix);
  Head head(x.detach().contiguous(), weight, classes, options);
  {
    const autograd::NoGradient none;
    head.run(recorded && x.node() != nullptr, recorded && matrix.node() != nullptr);
  }
  Tensor loss = Tensor::from(std::vector<float>{static_cast<float>(head.loss())}, {});
  if (!recorded) return loss;
  autograd::record(loss, kName, {&x, &matrix},
                   [dx = std::move(head.dx), dweight = std::move(head.dweight), share = head.share(),
                    dtype = x.dtype()](const Tensor& dloss, autograd::Gradients& inputs) mutable {
                     const double factor = share * static_cast<double>(dloss.to_vector<float>().front());
                     if (inputs.needs(0)) inputs.add(0, cast(times(std::move(dx), factor), dtype));
                     if (inputs.needs(1)) inputs.add(1, times(std::move(dweight), factor));
                   });
  return loss;
}

}  // namespace martlet::ops
