#pragma once

// Checkpoints: everything that a run needs to go on as if it had never stopped.
//
// RUN/checkpoints/step-00001200/ holds model.safetensors (parameters by their paths in the tree),
// optimizer.safetensors, and state.json (steps, position in the data, names, and the size and hash of both
// files). A folder appears whole or not at all; one that is damaged afterwards is told by its hashes and
// passed over.

#include <optional>
#include <string>
#include <vector>

#include "train/trainer.h"

namespace martlet::train {

struct CheckpointInfo {
  std::string path;
  int64_t step = 0;  ///< steps done
};

/// Those of a run, the newest first; incomplete ones are no folders of that name.
std::vector<CheckpointInfo> checkpoints_of(const std::string& run);

/// Writes RUN/checkpoints/step-N. `extra` goes into state.json. Throws kExhausted when the disk is full; what
/// was there before stays.
void write_checkpoint(const std::string& run, const nn::Model& model, const Trainer& trainer,
                      const Json& extra);

/// Puts a checkpoint back: parameters, what the optimiser remembers, the position in the data, steps done.
/// Gives `extra`. Throws BadInput, before anything is changed, when it is damaged or belongs to another
/// model, optimiser or data.
Json read_checkpoint(const std::string& path, nn::Model& model, Trainer& trainer);

/// The newest whole checkpoint of the run, read as above; those that are damaged are named in `passed_over`.
/// Nothing when there is none.
std::optional<Json> resume(const std::string& run, nn::Model& model, Trainer& trainer,
                           std::vector<std::string>& passed_over);

/// Removes all but the newest `keep` checkpoints, never `best` (a path, or empty).
void prune_checkpoints(const std::string& run, int64_t keep, const std::string& best);

}  // namespace martlet::train
