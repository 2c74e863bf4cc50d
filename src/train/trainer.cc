#include "train/trainer.h"

#include <chrono>
#include <cmath>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "base/error.h"
#include "train/balance_experts.h"
#include "train/mixed.h"

namespace martlet::train {
namespace {

using Clock = std::chrono::steady_clock;

/// As many batches as one step takes, fewer at the end of the data.
std::vector<data::TrainingBatch> next_batches(data::Batches& batches, int64_t count) {
  std::vector<data::TrainingBatch> taken;
  for (int64_t i = 0; i < count; ++i) {
    data::TrainingBatch batch = batches.next();
    if (batch.empty()) break;
    taken.push_back(std::move(batch));
  }
  return taken;
}

}  // namespace

double loss_of(nn::Model& model, const data::TrainingBatch& batch, double share, double loss_scale) {
  const Tensor targets = Tensor::from(batch.targets, {static_cast<int64_t>(batch.targets.size())});
  const Tensor loss = model.loss(model.hidden(data::batch_of(batch)), targets, data::kIgnoredTarget);
  double value = loss.to_vector<float>().front();
  if (!autograd::is_recording()) return value * share;
  if (ExpertBalance* balance = expert_balance_of(model)) {
    balance->set_scale(share * loss_scale);
    value += balance->loss();
  }
  if (loss.node() != nullptr && std::isfinite(value))
    autograd::backward(
        loss, Tensor::from(std::vector<float>{static_cast<float>(share * loss_scale)}, loss.shape()));
  return value * share;
}

Trainer::Trainer(nn::Model& model, data::Batches& batches, std::unique_ptr<Optimizer> optimizer,
                 TrainerOptions options)
    : model_(model),
      batches_(batches),
      parameters_(trained_parameters(model)),
      optimizer_(std::move(optimizer)),
      options_(options),
      spike_detector_(options.spike_factor),
      loss_scale_(multiplies_f16(model)) {
  if (parameters_.empty()) bad_input("no parameter of the model is to be trained");
  if (options_.ema != 0) ema_.emplace(parameters_, options_.ema);
}

void Trainer::run_batches(const std::vector<data::TrainingBatch>& batches, StepMetrics& metrics) {
  int64_t targets = 0;
  for (const data::TrainingBatch& batch : batches) {
    targets += batch.target_count;
    metrics.tokens += static_cast<int64_t>(batch.ids.size());
  }
  for (const data::TrainingBatch& batch : batches) {
    if (batch.target_count == 0) continue;
    const double share = static_cast<double>(batch.target_count) / static_cast<double>(targets);
    metrics.loss += loss_of(model_, batch, share, loss_scale_.value());
  }
  metrics.targets = targets;
}

bool Trainer::judge(StepMetrics& metrics) {
  metrics.finite = std::isfinite(metrics.loss) && std::isfinite(metrics.gradient_norm);
  if (!metrics.finite) {
    metrics.overflow = std::isfinite(metrics.loss) && loss_scale_.halve();
    return false;
  }
  if (metrics.targets == 0) return false;
  loss_scale_.keep();
  metrics.spike = spike_detector_.is_spike(metrics.loss);
  return !metrics.spike;
}

std::optional<StepMetrics> Trainer::step() {
  const Clock::time_point start = Clock::now();
  const std::vector<data::TrainingBatch> batches = next_batches(batches_, options_.accumulate);
  if (batches.empty()) return std::nullopt;
  StepMetrics metrics;
  const double scale = loss_scale_.value();
  if (loss_scale_.is_used()) metrics.loss_scale = scale;
  run_batches(batches, metrics);
  metrics.step = steps_done_;
  metrics.learning_rate = options_.schedule.rate(steps_done_);
  metrics.gradient_norm = gradient_norm(parameters_) / scale;
  if (judge(metrics)) {
    const bool too_long = options_.clip > 0 && metrics.gradient_norm > options_.clip;
    // As PyTorch clips: a little is added so that nothing divides by zero.
    const double clip = too_long ? options_.clip / (metrics.gradient_norm + 1e-6) : 1.0;
    optimizer_->step(metrics.learning_rate, clip / scale);
    if (ema_) ema_->update(optimizer_->steps_done());
  }
  clear_gradients();
  ++steps_done_;
  metrics.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return metrics;
}

void Trainer::clear_gradients() {
  for (const TrainedParameter& trained : parameters_) trained.parameter->clear_gradient();
}

}  // namespace martlet::train
