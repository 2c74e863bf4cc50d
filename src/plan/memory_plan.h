#pragma once

// How a model that is run keeps within a budget of memory: which blocks are held and which are streamed from
// disk. Which formats the weights and the keys and values have then is plan/format_choice.h's.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "infer/stream.h"
#include "plan/run_plan.h"

namespace martlet::plan {

/// Of the program and its libraries, those pages that a run touches: measured 21 to 24 MiB.
inline constexpr int64_t kCode = int64_t{24} << 20;
/// Left alone at least: what forecasts are wrong by.
inline constexpr int64_t kLeastSpare = int64_t{16} << 20;

/// Bytes of memory that a run takes, by what for.
struct MemoryNeeds {
  int64_t program = 0;  ///< what the process holds already besides weights, and its code
  int64_t outside = 0;  ///< weights outside of blocks, and those that cannot be read from a file again
  int64_t cache = 0;
  int64_t activations = 0;
  int64_t beside = 0;                ///< of something else (RunGoal)
  std::vector<int64_t> blocks = {};  ///< weights of each block that can be

  int64_t block_bytes() const;
  /// All but blocks.
  int64_t others() const { return program + outside + cache + activations + beside; }
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
MemoryPlan plan_memory(MemoryNeeds needs, const RunGoal& goal);
MemoryPlan plan_memory(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal);

/// One sentence for a plan that does not fit: what there is, what is needed for what, and what would do.
std::string why_not(const MemoryPlan& plan, const RunGoal& goal);

/// The rewrite that brings the plan about.
nn::RewriteRequest request_of(const MemoryPlan& plan);

/// The budget of a run that was given none: 0 where `model_bytes` of weights and what comes beside them fit
/// into what is `available`, which nothing says is known; else nearly all of that.
uint64_t budget_without_asking(uint64_t model_bytes, std::optional<uint64_t> available);

/// Bytes a second that the disk gives of a file, read as streams read it: a fraction of a second. 0 where it
/// cannot be read.
double measure_disk(const std::string& path);

}  // namespace martlet::plan
