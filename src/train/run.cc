#include "train/run.h"

#include <chrono>

#include "base/error.h"
#include "base/interrupt.h"
#include "train/checkpoint.h"
#include "train/metrics.h"

namespace martlet::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Run {
 public:
  Run(nn::Model& model, Trainer& trainer, const RunOptions& options, const OnStep& on_step,
      const OnNote& on_note)
      : model_(model), trainer_(trainer), options_(options), on_step_(on_step), on_note_(on_note) {}

  RunOutcome go() {
    if (options_.resume) take_up();
    std::optional<MetricsFile> metrics;
    if (!options_.metrics.empty()) metrics.emplace(options_.metrics, trainer_.steps_done());
    last_checkpoint_ = Clock::now();
    while (trainer_.steps_done() < options_.steps && !interrupt_requested()) {
      std::optional<StepMetrics> step = trainer_.step();
      if (!step) {
        outcome_.data_ended = true;
        break;
      }
      if (due(options_.eval_every) || trainer_.steps_done() == options_.steps) evaluate(*step);
      if (metrics) metrics->write(*step);
      on_step_(*step);
      if (options_.sample && due(options_.sample_every))
        on_note_(fmt::format("after step {} it says: {}", trainer_.steps_done(), options_.sample()));
      if (step->finite)
        spikes_ = 0;
      else
        handle_spike(*step);
      if (options_.checkpoint_seconds > 0 && seconds_since(last_checkpoint_) >= options_.checkpoint_seconds)
        save();
    }
    outcome_.interrupted = trainer_.steps_done() < options_.steps && !outcome_.data_ended;
    save();
    outcome_.steps_done = trainer_.steps_done();
    return outcome_;
  }

 private:
  void take_up() {
    std::vector<std::string> passed_over;
    const auto found = train::resume(options_.folder, model_, trainer_, passed_over);
    for (const std::string& reason : passed_over) on_note_("passed over a checkpoint: " + reason);
    if (found) on_note_(fmt::format("resumed at step {}", trainer_.steps_done()));
    if (!found && !passed_over.empty())
      bad_input("{}: no checkpoint of the run can be used; the last reason: {}", options_.folder,
                passed_over.back());
  }

  bool due(int64_t every) const { return every > 0 && trainer_.steps_done() % every == 0; }

  void evaluate(StepMetrics& step) {
    if (options_.held_out != nullptr) step.eval_loss = options_.held_out->loss(model_);
  }

  void save() {
    const Clock::time_point start = Clock::now();
    try {
      write_checkpoint(options_.folder, model_, trainer_, Json(Json::Object{}));
      prune_checkpoints(options_.folder, options_.keep_checkpoints, "");
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kExhausted) throw;
      on_note_(fmt::format("the checkpoint of step {} could not be written and the one before stays: {}",
                           trainer_.steps_done(), error.what()));
    }
    last_checkpoint_ = Clock::now();
    outcome_.checkpoint_seconds += seconds_since(start);
  }

  void handle_spike(const StepMetrics& step) {
    const std::string what = fmt::format("step {}: the loss is {:g} and the gradient's norm {:g}", step.step,
                                         step.loss, step.gradient_norm);
    if (options_.on_spike == SpikePolicy::kStop) failed("{}; a lower learning rate may help", what);
    if (++spikes_ > options_.most_spikes)
      failed("{}, the {}th step in a row that is not finite; a lower learning rate may help", what, spikes_);
    if (options_.on_spike == SpikePolicy::kSkip) {
      on_note_(what + ": the step was skipped");
      return;
    }
    // The data goes on behind the batch that did it.
    const data::BatchPosition position = trainer_.batches().position();
    std::vector<std::string> passed_over;
    if (!train::resume(options_.folder, model_, trainer_, passed_over)) {
      on_note_(what + ": the step was skipped, for there is no checkpoint to go back to");
      return;
    }
    trainer_.batches().seek(position);
    on_note_(fmt::format("{}: went back to step {}", what, trainer_.steps_done()));
  }

  nn::Model& model_;
  Trainer& trainer_;
  const RunOptions& options_;
  const OnStep& on_step_;
  const OnNote& on_note_;
  RunOutcome outcome_;
  Clock::time_point last_checkpoint_;
  int64_t spikes_ = 0;
};

}  // namespace

RunOutcome run_training(nn::Model& model, Trainer& trainer, const RunOptions& options, const OnStep& on_step,
                        const OnNote& on_note) {
  return Run(model, trainer, options, on_step, on_note).go();
}

}  // namespace martlet::train
