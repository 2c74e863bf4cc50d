#pragma once

// The loop's one step: batches to losses to gradients to parameters.

#include <functional>
#include <memory>
#include <optional>

#include "data/batches.h"
#include "nn/roles.h"
#include "train/ema.h"
#include "train/loss_scale.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/spikes.h"

namespace martlet::train {

/// What happens when a loss or a gradient is not finite, or a loss stands far above the recent ones.
enum class SpikePolicy : uint8_t {
  kSkip,    ///< the parameters stay, the batch is passed over
  kRewind,  ///< back to the last checkpoint, on with the next batch
  kStop,    ///< the run ends with an error
};

struct TrainerOptions {
  Schedule schedule = {};
  int64_t accumulate = 1;   ///< batches whose gradients make one step
  double clip = 1;          ///< most that the norm of all gradients may be; 0: no limit
  double ema = 0;           ///< what an average of the weights keeps at each update; 0: none is kept
  double spike_factor = 0;  ///< see SpikeDetector; 0: only what is not finite is a spike
};

/// A row of the metrics.
struct StepMetrics {
  int64_t step = 0;  ///< from 0
  double loss = 0;   ///< mean over the step's targets, before the update
  double learning_rate = 0;
  double gradient_norm = 0;  ///< before clipping
  int64_t tokens = 0;
  int64_t targets = 0;  ///< of the tokens, those that have one
  double seconds = 0;
  bool finite = true;                ///< when not, nothing was updated
  bool overflow = false;             ///< not finite, and the loss scale halved for it
  bool spike = false;                ///< finite, but far above the recent losses: nothing was updated
  std::optional<double> loss_scale;  ///< of this step, where there is one
  std::optional<double>
      eval_loss;  ///< on held-out data, after the update, where the step was one to evaluate

  double tokens_per_second() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
};

/// The mean loss over targets [tokens] (data::kIgnoredTarget: none) and its gradient into the parameters,
/// both times `share`: what one of several batches counts of a step. The gradient is multiplied by
/// `loss_scale` too. Where experts are balanced (train/balance_experts.h) that loss is added. Without
/// recording (autograd::NoGradient) only the mean.
double loss_of(nn::Model& model, const data::TrainingBatch& batch, double share, double loss_scale = 1);

class Trainer {
 public:
  /// The model's parameters that require a gradient are trained; where products are of f16, by a scaled loss.
  /// `model` and `batches` must outlive this.
  Trainer(nn::Model& model, data::Batches& batches, std::unique_ptr<Optimizer> optimizer,
          TrainerOptions options);

  /// The next step; nothing when the data is over.
  std::optional<StepMetrics> step();

  int64_t steps_done() const { return steps_done_; }
  void set_steps_done(int64_t steps) { steps_done_ = steps; }
  Optimizer& optimizer() { return *optimizer_; }
  const Optimizer& optimizer() const { return *optimizer_; }
  std::span<const TrainedParameter> parameters() const { return parameters_; }
  data::Batches& batches() { return batches_; }
  const data::Batches& batches() const { return batches_; }
  /// Null where no average is kept.
  Ema* ema() { return ema_ ? &*ema_ : nullptr; }
  const Ema* ema() const { return ema_ ? &*ema_ : nullptr; }
  SpikeDetector& spike_detector() { return spike_detector_; }
  const SpikeDetector& spike_detector() const { return spike_detector_; }
  LossScale& loss_scale() { return loss_scale_; }
  const LossScale& loss_scale() const { return loss_scale_; }

 private:
  /// Losses and gradients of the step's batches; gradients are multiplied by the loss scale.
  void run_batches(const std::vector<data::TrainingBatch>& batches, StepMetrics& metrics);
  /// Whether anything is to be learned from the step's gradients.
  bool judge(StepMetrics& metrics);
  void clear_gradients();

  nn::Model& model_;
  data::Batches& batches_;
  std::vector<TrainedParameter> parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  TrainerOptions options_;
  std::optional<Ema> ema_;
  SpikeDetector spike_detector_;
  LossScale loss_scale_;
  int64_t steps_done_ = 0;
};

}  // namespace martlet::train
