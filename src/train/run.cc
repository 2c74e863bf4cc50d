#include "train/run.h"

#include <chrono>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "train/checkpoint.h"
#include "train/checkpoint_writer.h"
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
      : model_(model),
        trainer_(trainer),
        options_(options),
        on_step_(on_step),
        on_note_(on_note),
        writer_(options.folder, options.keep_checkpoints) {}

  RunOutcome go() {
    if (options_.resume) take_up();
    if (options_.on_begin) options_.on_begin(trainer_.steps_done());
    open_metrics();
    last_checkpoint_ = Clock::now();
    while (trainer_.steps_done() < options_.steps && !interrupt_requested()) {
      std::optional<StepMetrics> step = trainer_.step();
      if (!step) {
        outcome_.data_ended = true;
        break;
      }
      const bool improved = evaluate(*step);
      write_row(*step);
      on_step_(*step);
      if (step->overflow)
        tell_of_overflow(*step);
      else if (step->finite && !step->spike)
        spikes_ = 0;
      else
        handle_spike(*step);
      sample();
      tell_of_checkpoint();
      if (checkpoint_is_due() || (improved && options_.keep_best)) begin_checkpoint();
    }
    outcome_.interrupted = trainer_.steps_done() < options_.steps && !outcome_.data_ended;
    last_checkpoint();
    outcome_.steps_done = trainer_.steps_done();
    outcome_.saved_steps = saved_step_.value_or(0);
    if (options_.keep_best && best_step_ && is_directory(checkpoint_path(options_.folder, *best_step_))) {
      outcome_.best_checkpoint = checkpoint_path(options_.folder, *best_step_);
      outcome_.best_loss = best_loss_;
    }
    return outcome_;
  }

 private:
  // Beginning

  /// False when there is no checkpoint.
  bool go_back(std::vector<std::string>& passed_over) {
    const std::optional<Json> extra = train::resume(options_.folder, model_, trainer_, passed_over);
    if (!extra) return false;
    tidy_checkpoints(options_.folder, trainer_.steps_done());
    saved_step_ = trainer_.steps_done();
    best_step_.reset();
    if (extra->find("best_step") != nullptr) {
      best_step_ = extra->at("best_step").integer();
      best_loss_ = extra->at("best_loss").real();
    }
    return true;
  }

  void take_up() {
    std::vector<std::string> passed_over;
    const bool found = go_back(passed_over);
    if (!found && !passed_over.empty())
      bad_input("{0}: no checkpoint of the run can be used ({1}); without {0}/checkpoints it begins anew",
                options_.folder, passed_over.front());
    for (const std::string& reason : passed_over) on_note_("passed over a checkpoint: " + reason);
    if (found)
      on_note_(fmt::format("resumed at step {}", trainer_.steps_done()));
    else  // what a process left that was killed while it wrote its first
      tidy_checkpoints(options_.folder, 0);
  }

  // After a step

  bool due(int64_t every) const { return every > 0 && trainer_.steps_done() % every == 0; }

  /// Whether the held-out loss is the lowest so far.
  bool evaluate(StepMetrics& step) {
    const bool wanted = due(options_.eval_every) || trainer_.steps_done() == options_.steps;
    if (options_.held_out == nullptr || !wanted) return false;
    const EmaScope averages(trainer_.ema());
    step.eval_loss = options_.held_out->loss(model_);
    if (best_step_ && !(*step.eval_loss < best_loss_)) return false;
    best_step_ = trainer_.steps_done();
    best_loss_ = *step.eval_loss;
    return true;
  }

  void sample() {
    if (!options_.sample || !due(options_.sample_every)) return;
    const EmaScope averages(trainer_.ema());
    on_note_(fmt::format("after step {} it says: {}", trainer_.steps_done(), options_.sample()));
  }

  /// Begins the file anew, or goes on with it where steps were done.
  void open_metrics() {
    if (!options_.metrics.empty()) metrics_.emplace(options_.metrics, trainer_.steps_done());
  }

  void write_row(const StepMetrics& step) {
    if (!metrics_) return;
    try {
      metrics_->write(step);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kExhausted) throw;
      on_note_(fmt::format("training goes on without metrics: {}", error.what()));
      metrics_.reset();
    }
  }

  // Checkpoints

  bool checkpoint_is_due() const {
    return options_.checkpoint_seconds > 0 &&
           seconds_since(last_checkpoint_) >= options_.checkpoint_seconds && !writer_.busy();
  }

  Snapshot snapshot() const {
    Json extra{Json::Object{}};
    if (best_step_) extra.set("best_step", *best_step_).set("best_loss", best_loss_);
    return snapshot_of(model_, trainer_, extra);
  }

  std::string best() const {
    return options_.keep_best && best_step_ ? checkpoint_path(options_.folder, *best_step_) : "";
  }

  /// The error of one that could not be written, which is told already.
  std::optional<Error> tell_of_checkpoint() {
    const std::optional<CheckpointWriter::Result> result = writer_.take_result();
    if (!result) return std::nullopt;
    if (!result->error) saved_step_ = result->step;
    if (result->error)
      on_note_(fmt::format("the checkpoint of step {} could not be written and the one before stays: {}",
                           result->step, result->error->what()));
    return result->error;
  }

  std::optional<Error> settle_checkpoint() {
    writer_.wait();
    return tell_of_checkpoint();
  }

  /// Training waits for the copy alone, and for the checkpoint before where that is not done yet.
  void begin_checkpoint() {
    const Clock::time_point start = Clock::now();
    settle_checkpoint();
    if (options_.before_checkpoint) options_.before_checkpoint();
    try {
      writer_.start(copy_of(snapshot()), best());
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kExhausted) throw;
      // No memory for a copy: it is written from where everything lies.
      writer_.start(snapshot(), best());
      settle_checkpoint();
    }
    last_checkpoint_ = Clock::now();
    outcome_.checkpoint_seconds += seconds_since(start);
  }

  void last_checkpoint() {
    const Clock::time_point start = Clock::now();
    settle_checkpoint();
    if (saved_step_ != trainer_.steps_done()) {
      if (options_.before_checkpoint) options_.before_checkpoint();
      writer_.start(snapshot(), best());
      const std::optional<Error> error = settle_checkpoint();
      if (error && error->code() != ErrorCode::kExhausted) throw *error;
    }
    outcome_.checkpoint_seconds += seconds_since(start);
  }

  // Spikes

  [[noreturn]] void give_up(const std::string& what) {
    last_checkpoint();
    failed(
        "{}; the run is saved behind this step, and goes on with --resume; --change learning-rate with a "
        "lower one may help",
        what);
  }

  std::string told(const StepMetrics& step) const {
    if (step.finite)
      return fmt::format("step {}: the loss of {:.4g} stands far above the recent {:.4g} (deviation {:.2g})",
                         step.step, step.loss, trainer_.spike_detector().mean(),
                         trainer_.spike_detector().deviation());
    return fmt::format("step {}: the loss is {:g} and the gradient's norm {:g}", step.step, step.loss,
                       step.gradient_norm);
  }

  /// Which is how a loss scale finds its place, and no spike.
  void tell_of_overflow(const StepMetrics& step) {
    on_note_(fmt::format(
        "step {}: a gradient overflowed f16: the step was skipped, and the loss scale of {} is {} now",
        step.step, step.loss_scale.value_or(1), trainer_.loss_scale().value()));
  }

  void handle_spike(const StepMetrics& step) {
    const std::string what = told(step);
    if (options_.on_spike == SpikePolicy::kStop) give_up(what);
    if (++spikes_ > options_.most_spikes) give_up(fmt::format("{}, {} such steps in a row", what, spikes_));
    if (options_.on_spike == SpikePolicy::kSkip) {
      on_note_(what + ": the step was skipped");
      return;
    }
    // The data goes on behind the batch that did it.
    settle_checkpoint();
    const data::BatchPosition position = trainer_.batches().position();
    std::vector<std::string> passed_over;
    if (!go_back(passed_over)) {
      on_note_(what + ": the step was skipped, for there is no checkpoint to go back to");
      return;
    }
    trainer_.batches().seek(position);
    open_metrics();
    on_note_(fmt::format("{}: went back to step {}", what, trainer_.steps_done()));
  }

  nn::Model& model_;
  Trainer& trainer_;
  const RunOptions& options_;
  const OnStep& on_step_;
  const OnNote& on_note_;
  CheckpointWriter writer_;
  std::optional<MetricsFile> metrics_;
  RunOutcome outcome_;
  Clock::time_point last_checkpoint_;
  std::optional<int64_t> saved_step_;  // of the newest whole checkpoint that this run knows of
  std::optional<int64_t> best_step_;
  double best_loss_ = 0;
  int64_t spikes_ = 0;
};

}  // namespace

RunOutcome run_training(nn::Model& model, Trainer& trainer, const RunOptions& options, const OnStep& on_step,
                        const OnNote& on_note) {
  return Run(model, trainer, options, on_step, on_note).go();
}

}  // namespace martlet::train
