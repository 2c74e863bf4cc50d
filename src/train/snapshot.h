#pragma once

// All that a checkpoint holds, before it is files.

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "train/trainer.h"

namespace martlet::train {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

struct Snapshot {
  int64_t step = 0;         ///< steps done
  NamedTensors parameters;  ///< see parameters_of
  NamedTensors optimizer;   ///< what it remembers
  NamedTensors ema;         ///< empty where no average is kept
  Json state;               ///< steps, position in the data, names, `extra`

  int64_t bytes() const;
};

/// Of a run as it stands: the tensors are those that training goes on to change.
Snapshot snapshot_of(const nn::Model& model, const Trainer& trainer, const Json& extra);

/// The same with elements of its own, so that training may go on while it is written. That takes as much
/// memory as the parameters and the optimiser's state together, of the owner "other", until the copy goes.
Snapshot copy_of(const Snapshot& snapshot);

/// Every parameter by its path, tied ones once. Frozen ones stay as the run began with them, packed or not,
/// and are no part of it.
NamedTensors parameters_of(const nn::Model& model);

}  // namespace martlet::train
