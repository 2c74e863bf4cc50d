#pragma once

// A training run: steps, metrics, checkpoints, and stopping and going on without losing a bit.

#include <functional>
#include <string>

#include "train/held_out.h"
#include "train/trainer.h"

namespace martlet::train {

struct RunOptions {
  std::string folder;   ///< checkpoints go into FOLDER/checkpoints
  std::string metrics;  ///< a file of JSON lines; empty: none
  int64_t steps = 0;    ///< of the whole run
  bool resume = false;  ///< go on from the newest whole checkpoint, where there is one
  /// Between checkpoints, which are written while training goes on; 0: only at the end. While one is written
  /// its copy takes as much memory as the parameters and what the optimiser remembers.
  double checkpoint_seconds = 60;
  int64_t keep_checkpoints = 2;
  /// Writes one, too, whenever the held-out loss is lower than ever before, and keeps the last such.
  bool keep_best = false;
  SpikePolicy on_spike = SpikePolicy::kSkip;
  int64_t most_spikes = 10;  ///< in a row, before the run gives up
  /// Evaluated after every `eval_every` steps (0: never between) and after the last; must outlive the run.
  HeldOut* held_out = nullptr;
  int64_t eval_every = 0;
  /// A text of the model as it stands, told as a note after every `sample_every` steps; 0: never.
  std::function<std::string()> sample;
  int64_t sample_every = 0;
  /// Told the steps that are done before the first of this process.
  std::function<void(int64_t steps_done)> on_begin;
  /// Called before a checkpoint is written: nothing that others know of the steps before it may be lost
  /// later.
  std::function<void()> before_checkpoint;
};

/// Something to tell a person: "resumed at step 400", "step 12: the loss is not finite, skipped".
using OnNote = std::function<void(const std::string& text)>;
using OnStep = std::function<void(const StepMetrics& metrics)>;

struct RunOutcome {
  int64_t steps_done = 0;
  bool interrupted = false;
  bool data_ended = false;        ///< before the last step
  double checkpoint_seconds = 0;  ///< time that training stood still for checkpoints
  int64_t saved_steps = 0;        ///< done at the newest whole checkpoint; 0 without one
  std::string best_checkpoint;    ///< its path, with keep_best; or empty
  double best_loss = 0;           ///< its held-out loss
};

/// Trains until the last step, the end of the data, or an interrupt, which ends after the step that runs;
/// then writes a last checkpoint. Where an average of the weights is kept, losses on held-out data and
/// samples are the average's. A checkpoint or a row of the metrics that cannot be written because the disk is
/// full is told, and training goes on; the checkpoint before stays. Throws kFailed, after a checkpoint, when
/// too many steps in a row were not finite or spikes, or the first one where they stop the run.
RunOutcome run_training(nn::Model& model, Trainer& trainer, const RunOptions& options, const OnStep& on_step,
                        const OnNote& on_note);

}  // namespace martlet::train
