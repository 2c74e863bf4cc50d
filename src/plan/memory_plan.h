#pragma once

// How a model that is run keeps within a budget of memory: which blocks are held and which are streamed from
// disk. The weights stay what they are; what would change them is weighed beside, and left to whoever asks.

#include <memory>
#include <string>
#include <vector>

#include "infer/stream.h"
#include "plan/run_plan.h"

namespace martlet::plan {

/// Bytes of memory that a run takes, by what for.
struct MemoryNeeds {
  int64_t program = 0;  ///< what the process holds already besides weights, and its code
  int64_t outside = 0;  ///< weights outside of blocks, and those that cannot be read from a file again
  int64_t cache = 0;
  int64_t activations = 0;
  std::vector<int64_t> blocks = {};  ///< weights of each block that can be

  int64_t block_bytes() const;
  /// All but blocks.
  int64_t others() const { return program + outside + cache + activations; }
};

MemoryNeeds memory_needs(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal);

struct MemoryPlan {
  MemoryNeeds needs;
  int64_t spare = 0;     ///< left alone: what forecasts are wrong by
  int64_t resident = 0;  ///< for blocks
  infer::Residency residency;
  int64_t least = 0;  ///< the smallest memory that would do

  bool fits() const { return resident >= 0 && residency.fits; }
  bool streams() const { return residency.streamed_bytes > 0; }
  int64_t total_bytes() const { return needs.others() + residency.held_bytes + residency.place_bytes; }
};

/// As many blocks as fit are held. `goal.memory` is what there is.
MemoryPlan plan_memory(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal);

/// One sentence for a plan that does not fit: what there is, what is needed for what, and what would do.
std::string why_not(const MemoryPlan& plan, const RunGoal& goal);

/// The rewrite that brings the plan about.
nn::RewriteRequest request_of(const MemoryPlan& plan);

/// Something else that would keep within the memory, and why it is not done.
struct Alternative {
  std::string what;
  std::string reason;
};

/// Formats that the weights might be stored in instead: bytes, tokens a second if all is held, and the error
/// that they add to the weights, measured on one of the model's own matrices. `machine`: has measured the
/// types of `alternative_types`.
std::vector<Alternative> alternatives(const std::shared_ptr<nn::Model>& tree, const MemoryPlan& plan,
                                      const RunGoal& goal, const MachineProfile& machine);
std::vector<std::string> alternative_types();

/// Bytes a second that the disk gives of a file, read as streams read it: a fraction of a second. 0 where it
/// cannot be read.
double measure_disk(const std::string& path);

}  // namespace martlet::plan
