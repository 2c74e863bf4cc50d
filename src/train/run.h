#pragma once

// A training run: steps, metrics, checkpoints, and stopping and going on without losing a bit.

#include <functional>
#include <string>

#include "train/held_out.h"
#include "train/trainer.h"

namespace martlet::train {

struct RunOptions {
  std::string folder;              ///< checkpoints go into FOLDER/checkpoints
  std::string metrics;             ///< a file of JSON lines; empty: none
  int64_t steps = 0;               ///< of the whole run
  bool resume = false;             ///< go on from the newest whole checkpoint, where there is one
  double checkpoint_seconds = 60;  ///< between checkpoints; 0: only at the end
  int64_t keep_checkpoints = 2;
  SpikePolicy on_spike = SpikePolicy::kSkip;
  int64_t most_spikes = 10;  ///< in a row, before the run gives up
  /// Evaluated after every `eval_every` steps (0: never between) and after the last; must outlive the run.
  HeldOut* held_out = nullptr;
  int64_t eval_every = 0;
  /// A text of the model as it stands, told as a note after every `sample_every` steps; 0: never.
  std::function<std::string()> sample;
  int64_t sample_every = 0;
};

/// Something to tell a person: "resumed at step 400", "step 12: the loss is not finite, skipped".
using OnNote = std::function<void(const std::string& text)>;
using OnStep = std::function<void(const StepMetrics& metrics)>;

struct RunOutcome {
  int64_t steps_done = 0;
  bool interrupted = false;
  bool data_ended = false;        ///< before the last step
  double checkpoint_seconds = 0;  ///< time that checkpoints took
};

/// Trains until the last step, the end of the data, or an interrupt, which ends after the step that runs;
/// then writes a last checkpoint. A checkpoint that cannot be written because the disk is full is told, and
/// training goes on. Throws kFailed when too many steps in a row were not finite.
RunOutcome run_training(nn::Model& model, Trainer& trainer, const RunOptions& options, const OnStep& on_step,
                        const OnNote& on_note);

}  // namespace martlet::train
