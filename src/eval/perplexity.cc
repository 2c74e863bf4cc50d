#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/thread_pool.h"
#include "infer/generate.h"
#include "infer/kv_cache.h"
#include "nn/layers.h"
#include "nn/tree.h"
#include "ops/cast.h"

namespace martlet::eval {
namespace {

// Windows run together up to so many tokens: enough rows for a matrix product.
constexpr int64_t kForwardTokens = 1024;
// Scores that lie in memory at once, of each model.
constexpr int64_t kScoreBytes = int64_t{32} << 20;

/// A mean and its standard error, from sums in order.
struct Mean {
  double sum = 0;
  double squares = 0;
  int64_t count = 0;
  void add(double value) {
    sum += value;
    squares += value * value;
    ++count;
  }
  double mean() const { return sum / static_cast<double>(count); }
  double error() const {
    if (count < 2) return 0;
    const double variance = squares / static_cast<double>(count) - mean() * mean();
    return std::sqrt(std::max(0.0, variance) / static_cast<double>(count - 1));
  }
};

/// log(sum(exp(scores))) in double.
double log_sum(const float* scores, int64_t count) {
  const float top = *std::max_element(scores, scores + count);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(double{scores[i]} - top);
  return top + std::log(sum);
}

double divergence_of(const float* first, double first_sum, const float* other, double other_sum,
                     int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double log_p = double{first[i]} - first_sum;
    // What is too unlikely to change the sum is also too unlikely for exp.
    if (log_p < -700) continue;
    sum += std::exp(log_p) * (log_p - (double{other[i]} - other_sum));
  }
  return sum;
}

/// What one position gives.
struct Position {
  double loss = 0;
  double other_loss = 0;
  double kl = 0;
  bool same_top = false;
};

/// Whether a run of the model rounds the keys and values of earlier positions.
bool rounds_cache(nn::Model& model) {
  bool rounds = false;
  nn::walk(nn::ModulePtr(std::shared_ptr<void>(), &model),
           [&](const std::string&, const nn::ModulePtr& each) {
             const auto* core = dynamic_cast<const nn::SoftmaxAttention*>(each.get());
             rounds |= core != nullptr && core->cache_format() != ops::CacheFormat::kF32;
           });
  return rounds;
}

/// Windows as one model reads them: where a run would round keys and values, here they are rounded too.
class Windows {
 public:
  explicit Windows(nn::Model& model) : model_(model), rounds_(rounds_cache(model)) {}
  void add(std::span<const int32_t> window) {
    if (!rounds_) return batch_.add(window);
    caches_.push_back(
        std::make_unique<infer::GrowingKvCache>(model_.shape().layers, model_.shape().lead_positions));
    batch_.add(window, caches_.back().get());
  }
  Tensor hidden() { return model_.hidden(batch_); }

 private:
  nn::Model& model_;
  bool rounds_;
  std::vector<std::unique_ptr<infer::GrowingKvCache>> caches_;
  nn::Batch batch_;
};

class Measurement {
 public:
  Measurement(nn::Model& first, nn::Model* other, const PerplexityOptions& options)
      : first_(first),
        other_(other),
        options_(options),
        rows_(std::max<int64_t>(1, kScoreBytes / (first.shape().vocabulary_size * int64_t{sizeof(float)}))) {}

  /// Whole windows one after the other.
  void run(std::span<const int32_t> ids) {
    Windows batch(first_);
    std::optional<Windows> other_batch;
    if (other_ != nullptr) other_batch.emplace(*other_);
    std::vector<int32_t> window;
    const auto context = static_cast<size_t>(options_.context);
    for (size_t begin = 0; begin < ids.size(); begin += context) {
      window.assign(ids.begin() + static_cast<int64_t>(begin),
                    ids.begin() + static_cast<int64_t>(begin + context));
      if (options_.begin) window.front() = *options_.begin;
      batch.add(window);
      if (other_batch) other_batch->add(window);
    }
    const Tensor hidden = batch.hidden();
    const Tensor other_hidden = other_batch ? other_batch->hidden() : Tensor();
    const int64_t half = options_.context / 2;
    for (int64_t begin = 0; begin < static_cast<int64_t>(ids.size()); begin += options_.context)
      for (int64_t at = half; at + 1 < options_.context; at += rows_) {
        throw_if_interrupted();
        const int64_t end = std::min(at + rows_, options_.context - 1);
        const Tensor scores = first_.logits(hidden.slice(0, begin + at, begin + end));
        const Tensor other_scores =
            other_ == nullptr ? Tensor() : other_->logits(other_hidden.slice(0, begin + at, begin + end));
        add(scores, other_scores,
            ids.subspan(static_cast<size_t>(begin + at + 1), static_cast<size_t>(end - at)));
      }
    windows_ += static_cast<int64_t>(ids.size()) / options_.context;
  }

  Comparison result() const {
    Comparison result;
    result.first = {loss_.mean(), loss_.error(), loss_.count, windows_};
    if (other_ == nullptr) return result;
    result.other = {other_loss_.mean(), other_loss_.error(), other_loss_.count, windows_};
    result.divergence = {kl_.mean(),        kl_.error(),       greatest_kl_,      same_top_.mean(),
                         same_top_.error(), more_loss_.mean(), more_loss_.error()};
    return result;
  }

 private:
  void add(const Tensor& scores, const Tensor& other_scores, std::span<const int32_t> targets) {
    const int64_t vocabulary = first_.shape().vocabulary_size;
    const std::vector<float> first = ops::cast(scores, DType::kF32).to_vector<float>();
    std::vector<float> other;
    if (other_ != nullptr) other = ops::cast(other_scores, DType::kF32).to_vector<float>();
    const float* p = first.data();
    const float* q = other_ == nullptr ? nullptr : other.data();
    std::vector<Position> positions(targets.size());
    parallel_for(static_cast<int64_t>(targets.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        positions[static_cast<size_t>(row)] =
            position(p + row * vocabulary, q == nullptr ? nullptr : q + row * vocabulary,
                     targets[static_cast<size_t>(row)], vocabulary);
    });
    for (const Position& position : positions) {
      loss_.add(position.loss);
      if (other_ == nullptr) continue;
      other_loss_.add(position.other_loss);
      more_loss_.add(position.other_loss - position.loss);
      kl_.add(position.kl);
      same_top_.add(position.same_top ? 1 : 0);
      greatest_kl_ = std::max(greatest_kl_, position.kl);
    }
  }

  static Position position(const float* p, const float* q, int32_t target, int64_t vocabulary) {
    Position result;
    const double sum = log_sum(p, vocabulary);
    result.loss = sum - p[target];
    if (q == nullptr) return result;
    const double other_sum = log_sum(q, vocabulary);
    result.other_loss = other_sum - q[target];
    result.kl = divergence_of(p, sum, q, other_sum, vocabulary);
    result.same_top = std::max_element(p, p + vocabulary) - p == std::max_element(q, q + vocabulary) - q;
    return result;
  }

  nn::Model& first_;
  nn::Model* other_;
  const PerplexityOptions& options_;
  int64_t rows_;
  Mean loss_, other_loss_, more_loss_, kl_, same_top_;
  double greatest_kl_ = 0;
  int64_t windows_ = 0;
};

void check(const nn::Model& model, std::span<const int32_t> ids, const PerplexityOptions& options) {
  if (!model.shape().generates)
    bad_input("this model has no head that predicts tokens: it has no perplexity");
  const int64_t longest = model.shape().max_positions;
  if (longest > 0 && options.context > longest)
    fail(ErrorCode::kUsage, "windows of {} tokens were asked for and the model's context is {}",
         options.context, longest);
  if (options.context < 4 || options.context % 2 != 0)
    fail(ErrorCode::kUsage, "a window has an even number of tokens, at least 4, not {}", options.context);
  if (static_cast<int64_t>(ids.size()) < options.context)
    bad_input("the text has {} tokens and a window takes {}; give a longer text or a smaller --context",
              ids.size(), options.context);
  infer::check_vocabulary(model.shape(), ids);
}

Comparison measure(nn::Model& first, nn::Model* other, std::span<const int32_t> ids,
                   const PerplexityOptions& options, Progress& progress) {
  check(first, ids, options);
  if (other != nullptr) {
    if (other->shape().vocabulary_size != first.shape().vocabulary_size)
      bad_input("the models have vocabularies of {} and {} tokens: only equal ones can be compared",
                first.shape().vocabulary_size, other->shape().vocabulary_size);
    check(*other, ids, options);
  }
  int64_t windows = static_cast<int64_t>(ids.size()) / options.context;
  if (options.most_windows > 0) windows = std::min(windows, options.most_windows);
  const int64_t together = std::max<int64_t>(1, kForwardTokens / options.context);
  progress.start("Evaluating", static_cast<uint64_t>(windows * options.context), "tokens");
  Measurement measurement(first, other, options);
  for (int64_t window = 0; window < windows; window += together) {
    throw_if_interrupted();
    const int64_t end = std::min(window + together, windows);
    measurement.run(ids.subspan(static_cast<size_t>(window * options.context),
                                static_cast<size_t>((end - window) * options.context)));
    progress.advance(static_cast<uint64_t>(end * options.context));
  }
  progress.finish();
  return measurement.result();
}

}  // namespace

double Perplexity::perplexity() const {
  return std::exp(loss);
}

double Perplexity::perplexity_error() const {
  return perplexity() * loss_error;
}

Perplexity perplexity(nn::Model& model, std::span<const int32_t> ids, const PerplexityOptions& options,
                      Progress& progress) {
  return measure(model, nullptr, ids, options, progress).first;
}

Comparison compare(nn::Model& first, nn::Model& other, std::span<const int32_t> ids,
                   const PerplexityOptions& options, Progress& progress) {
  return measure(first, &other, ids, options, progress);
}

}  // namespace martlet::eval
