#pragma once

// What a run takes here: what a token makes the machine do, counted over the tree, times what that takes.
//
// A token that is decoded waits for every weight it reads, once for every product that it begins, and for its
// attention; a prompt computes, and moves the rows between products. What runs over elements between them
// (norms, rotations, gates, sums) is counted by its calls and bytes: one call for every norm and every linear
// layer's result, which it reads and writes.

#include <memory>
#include <optional>
#include <vector>

#include "plan/run_plan.h"

namespace martlet::plan {

/// Formats other than those of the tree.
struct OtherFormats {
  std::string weights = {};  ///< the type of the blocks' matrices; empty: as they are
  int64_t block_bytes = 0;   ///< what these take then
  std::optional<ops::CacheFormat> cache = {};
};

/// What `measure_machine` must have measured of attention: that of each layer, each once, and where
/// `all_formats`, that of every format of keys and values.
std::vector<AttentionKind> attention_kinds(const nn::ModulePtr& tree, const RunGoal& goal,
                                           bool all_formats = false);

/// Of a token of each sequence, in the middle of the replies. Throws where the machine's speed was not
/// measured.
double decode_seconds(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal,
                      const MachineProfile& machine, const OtherFormats& formats = {});
/// Of all prompts, until the scores of their last tokens are there. Likewise.
double prompt_seconds(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal,
                      const MachineProfile& machine);

}  // namespace martlet::plan
