#include "plan/train_forecast.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "autograd/backward.h"
#include "nn/tree.h"
#include "train/ema.h"
#include "train/trainer.h"

namespace martlet::plan {
namespace {

// Code, a tokenizer, the threads' stacks and their kernels' panels.
constexpr int64_t kProgramBytes = int64_t{48} << 20;

/// High-water marks over several stretches of time.
class Peaks {
 public:
  Peaks() { reset_memory_peaks(Device::kCpu); }
  /// A forecast is no use of memory: peaks begin again from what is held.
  ~Peaks() {
    release_cached_memory();
    forget_high_water(Device::kCpu);
    reset_memory_peaks(Device::kCpu);
  }
  Peaks(const Peaks&) = delete;
  Peaks& operator=(const Peaks&) = delete;

  /// Ends a stretch and begins the next; gives the most that was held in it.
  int64_t take() {
    const auto use = memory_use(Device::kCpu);
    for (size_t i = 0; i < use.size(); ++i) owners_[i] = std::max(owners_[i], use[i].peak);
    const int64_t most = total_memory_use(Device::kCpu).peak;
    total_ = std::max(total_, most);
    system_ = std::max(system_, system_memory_use(Device::kCpu).peak);
    reset_memory_peaks(Device::kCpu);
    return most;
  }
  int64_t of(Owner owner) const { return owners_[static_cast<size_t>(owner)]; }
  int64_t total() const { return total_; }
  int64_t system() const { return system_; }

 private:
  std::array<int64_t, kOwnerCount> owners_{};
  int64_t total_ = 0;
  int64_t system_ = 0;
};

int64_t held_by(Owner owner) {
  return memory_use(Device::kCpu)[static_cast<size_t>(owner)].now;
}

/// Values that are mapped from files, which the allocator does not know of.
int64_t mapped_bytes(const nn::Module& model) {
  int64_t bytes = 0;
  std::set<const void*> seen;
  nn::walk_parameters(model, [&](const std::string&, nn::Parameter& parameter) {
    if (!parameter.defined() || !seen.insert(parameter.identity()).second) return;
    const Tensor& storage = parameter.shape().rank() == 2 ? parameter.weight().storage() : parameter.tensor();
    if (storage.is_read_only()) bytes += storage.byte_count();
  });
  return bytes;
}

int64_t bytes_of(std::span<const train::TrainedParameter> trained) {
  int64_t bytes = 0;
  for (const train::TrainedParameter& each : trained) bytes += each.parameter->byte_count();
  return bytes;
}

/// Full sequences: no batch of the run has more tokens, nor more pairs of them.
nn::Batch full_batch(const TrainGoal& goal) {
  nn::Batch batch;
  const std::vector<int32_t> ids(static_cast<size_t>(goal.seq), 0);
  for (int64_t i = 0; i < goal.batch; ++i) batch.add(ids);
  return batch;
}

/// Forward and backward of one batch, as train::loss_of does them; gives what the loss took at most beside
/// what was held before it.
int64_t run_batch(nn::Model& model, const nn::Batch& batch, Peaks& peaks) {
  const std::vector<int32_t> ids(static_cast<size_t>(batch.token_count()), 0);
  const Tensor targets = Tensor::from(ids, {batch.token_count()});
  const Tensor hidden = model.hidden(batch);
  peaks.take();
  const int64_t before = total_memory_use(Device::kCpu).now;
  const Tensor loss = model.loss(hidden, targets, data::kIgnoredTarget);
  const int64_t logits = peaks.take() - before;
  if (loss.node() != nullptr) autograd::backward(loss);
  return logits;
}

}  // namespace

int64_t TrainMemory::process() const {
  return system + snapshot + kProgramBytes;
}

int64_t TrainMemory::resident() const {
  return system + data + kProgramBytes;
}

TrainForecast forecast_training(nn::Model& model, const TrainGoal& goal) {
  Peaks peaks;
  const int64_t activations_before = held_by(Owner::kActivations);
  const nn::Batch batch = full_batch(goal);
  TrainForecast forecast;
  {
    const ops::DryRun dry_run;
    const std::vector<train::TrainedParameter> trained = train::trained_parameters(model);
    const auto optimizer = train::make_optimizer(goal.optimizer, trained, goal.optimizer_options);
    std::optional<train::Ema> ema;
    if (goal.ema > 0) ema.emplace(trained, goal.ema);
    for (int64_t i = 0; i < goal.accumulate; ++i)
      forecast.memory.logits = std::max(forecast.memory.logits, run_batch(model, batch, peaks));
    train::gradient_norm(trained);
    optimizer->step(0, 1);
    if (ema) ema->update(1);
    for (const train::TrainedParameter& each : trained) each.parameter->clear_gradient();
    forecast.costs = dry_run.rows();
    if (goal.snapshots) forecast.memory.snapshot = held_by(Owner::kOptimiser) + bytes_of(trained);
  }
  peaks.take();
  const int64_t mapped = mapped_bytes(model);
  forecast.memory.gradients = peaks.of(Owner::kGradients);
  forecast.memory.optimiser = peaks.of(Owner::kOptimiser);
  forecast.memory.activations = peaks.of(Owner::kActivations) - activations_before;
  forecast.memory.weights = mapped + peaks.of(Owner::kWeights);
  forecast.memory.system = mapped + peaks.system();
  forecast.memory.total = mapped + peaks.total();
  return forecast;
}

}  // namespace martlet::plan
