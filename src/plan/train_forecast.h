#pragma once

// What a step of training takes, found by a dry run of the model's own code (ops/dry_run.h): the same
// allocations by the same owners, and the costs that the operations state.

#include <string>
#include <vector>

#include "nn/roles.h"
#include "ops/dry_run.h"
#include "train/optimizer.h"

namespace martlet::plan {

/// What somebody wants to train with, besides the model.
struct TrainGoal {
  int64_t batch = 8;  ///< sequences of `seq` tokens each
  int64_t seq = 256;
  int64_t accumulate = 1;
  int64_t steps = 0;
  std::string optimizer = "adamw";
  train::OptimizerOptions optimizer_options = {};
  double ema = 0;         ///< see train::TrainerOptions
  bool snapshots = true;  ///< checkpoints are written while training goes on, from a copy

  int64_t tokens_per_step() const { return batch * seq * accumulate; }
};

/// Bytes, at their most within a step; the owners' peaks need not coincide. What the process holds of them
/// already, such as the weights, counts.
struct TrainMemory {
  int64_t weights = 0;    ///< what the values take, mapped ones included
  int64_t gradients = 0;  ///< of parameters, and those on their way
  int64_t optimiser = 0;
  int64_t activations = 0;  ///< what the backward waits for, logits included
  int64_t logits = 0;       ///< of these and of gradients: from the last hidden states to the loss
  int64_t total = 0;        ///< most that the step holds together
  int64_t system = 0;       ///< likewise, with freed blocks that are kept for reuse
  int64_t snapshot = 0;     ///< the copy from which a checkpoint is written
  int64_t data = 0;         ///< token shards and what is made of them; the dry run does not know of it
  /// Of the process: all of it, and what the program itself needs. Mapped data is given back where memory is
  /// short, and does not count.
  int64_t process() const;
  /// What the system shows of the process between checkpoints, where there is memory enough for the data.
  int64_t resident() const;
};

struct TrainForecast {
  TrainMemory memory;
  std::vector<ops::CostRow> costs;  ///< of one step
};

/// Runs a step without its arithmetic: milliseconds, and no memory to speak of. The tree's values are not
/// read; parameters to be trained require gradients already and have none. Throws kExhausted when not even
/// addresses are left for what a step would take.
TrainForecast forecast_training(nn::Model& model, const TrainGoal& goal);

}  // namespace martlet::plan
