#pragma once

// Checkpoints: everything that a run needs to go on as if it had never stopped.
//
// RUN/checkpoints/step-00001200/ holds model.safetensors (parameters by their paths in the tree),
// optimizer.safetensors, ema.safetensors where an average of the weights is kept, and state.json (steps,
// position in the data, names, and the size and hash of the other files). A folder appears whole or not at
// all; one that is damaged afterwards is told by its hashes and passed over.

#include <optional>
#include <string>
#include <vector>

#include "train/snapshot.h"

namespace martlet::train {

struct CheckpointInfo {
  std::string path;
  int64_t step = 0;  ///< steps done
};

/// Those of a run, the newest first; incomplete ones are no folders of that name.
std::vector<CheckpointInfo> checkpoints_of(const std::string& run);

/// Where that of a step is or would be.
std::string checkpoint_path(const std::string& run, int64_t step);

/// Writes RUN/checkpoints/step-N, on one thread and without the pool. Throws kExhausted when the disk is
/// full; what was there before stays.
void write_checkpoint(const std::string& run, const Snapshot& snapshot);

/// Puts a checkpoint back: parameters, averages, what the optimiser remembers, the position in the data,
/// recent losses, steps done. Gives `extra`. Throws BadInput, before anything is changed, when it is damaged
/// or belongs to another model, optimiser or data.
Json read_checkpoint(const std::string& path, nn::Model& model, Trainer& trainer);

/// The newest whole checkpoint of the run, read as above; those that are damaged are named in `passed_over`.
/// Nothing when there is none.
std::optional<Json> resume(const std::string& run, nn::Model& model, Trainer& trainer,
                           std::vector<std::string>& passed_over);

/// Puts back a checkpoint's parameters alone: its averages, where it has them. Throws as read_checkpoint
/// does.
void read_weights(const std::string& path, nn::Model& model);

/// Removes what a run that goes on at `step` has no use for: checkpoints of later steps, which were passed
/// over, and folders that a killed process left unfinished.
void tidy_checkpoints(const std::string& run, int64_t step);

/// Removes all but the newest `keep` checkpoints, never `best` (a path, or empty).
void prune_checkpoints(const std::string& run, int64_t keep, const std::string& best);

}  // namespace martlet::train
