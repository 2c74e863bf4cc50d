#include "eval/loss.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/interrupt.h"
#include "infer/generate.h"
#include "ops/cross_entropy.h"

namespace martlet::eval {
namespace {

// Short windows run together up to so many tokens: enough rows for a matrix product, few enough that
// activations stay small.
constexpr int64_t kForwardTokens = 1024;
// Scores that lie in memory at once.
constexpr int64_t kScoreBytes = int64_t{32} << 20;

/// Ids that one sequence reads, and the id that follows each.
struct Window {
  std::span<const int32_t> ids;
  std::span<const int32_t> targets;
};

std::vector<Window> windows_of(std::span<const std::vector<int32_t>> texts, int64_t width) {
  std::vector<Window> windows;
  for (const std::vector<int32_t>& text : texts)
    for (size_t begin = 0; begin + 1 < text.size(); begin += static_cast<size_t>(width)) {
      const size_t size = std::min(static_cast<size_t>(width), text.size() - 1 - begin);
      windows.push_back({std::span(text).subspan(begin, size), std::span(text).subspan(begin + 1, size)});
    }
  return windows;
}

class Evaluation {
 public:
  Evaluation(nn::Model& model, Progress& progress)
      : model_(model),
        rows_(std::max<int64_t>(
            1, kScoreBytes / (model.shape().vocabulary_size * static_cast<int64_t>(sizeof(float))))),
        progress_(progress) {}

  /// One forward over these windows.
  void run(std::span<const Window> windows) {
    nn::Batch batch;
    std::vector<int32_t> targets;
    for (const Window& window : windows) {
      batch.add(window.ids);
      targets.insert(targets.end(), window.targets.begin(), window.targets.end());
    }
    const Tensor hidden = model_.hidden(batch);
    for (int64_t begin = 0; begin < batch.token_count(); begin += rows_) {
      throw_if_interrupted();
      const int64_t end = std::min(begin + rows_, batch.token_count());
      const Tensor scores = model_.logits(hidden.slice(0, begin, end));
      const Tensor wanted = Tensor::from(std::span<const int32_t>(targets).subspan(
                                             static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
                                         {end - begin}, scores.device());
      for (const float loss :
           ops::cross_entropy(scores, wanted, ops::LossReduction::kNone).to_vector<float>())
        sum_ += loss;
      count_ += end - begin;
      progress_.advance(static_cast<uint64_t>(count_));
    }
  }

  TextLoss result() const { return {sum_ / static_cast<double>(count_), count_}; }

 private:
  nn::Model& model_;
  int64_t rows_;  // of scores at once
  Progress& progress_;
  double sum_ = 0;
  int64_t count_ = 0;
};

}  // namespace

double TextLoss::perplexity() const {
  return std::exp(loss);
}

int64_t window_of(const nn::ModelShape& shape, const LossOptions& options) {
  const int64_t context = shape.max_positions;
  if (options.window == 0) return context > 0 ? std::min(context, kDefaultWindow) : kDefaultWindow;
  if (context > 0 && options.window > context)
    fail(ErrorCode::kUsage, "a window of {} tokens was asked for and the model's context is {}",
         options.window, context);
  return options.window;
}

TextLoss text_loss(nn::Model& model, std::span<const std::vector<int32_t>> texts, const LossOptions& options,
                   Progress& progress) {
  if (!model.shape().generates) bad_input("this model has no head that predicts tokens: it has no loss");
  for (const std::vector<int32_t>& text : texts) infer::check_vocabulary(model.shape(), text);
  const std::vector<Window> windows = windows_of(texts, window_of(model.shape(), options));
  if (windows.empty()) bad_input("there is no token to predict: a text needs at least two tokens");
  uint64_t total = 0;
  for (const Window& window : windows) total += window.ids.size();
  progress.start("Evaluating", total, "tokens");
  Evaluation evaluation(model, progress);
  for (size_t first = 0; first < windows.size();) {
    throw_if_interrupted();
    size_t next = first;
    for (int64_t tokens = 0; next < windows.size(); ++next) {
      tokens += static_cast<int64_t>(windows[next].ids.size());
      if (tokens > kForwardTokens && next > first) break;
    }
    evaluation.run(std::span(windows).subspan(first, next - first));
    first = next;
  }
  progress.finish();
  return evaluation.result();
}

}  // namespace martlet::eval
