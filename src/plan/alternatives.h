#pragma once

// What else would keep a run within its memory, and is left to whoever asks: a file of weights in other
// formats.

#include <memory>
#include <string>
#include <vector>

#include "plan/machine.h"
#include "plan/memory_plan.h"

namespace martlet::plan {

struct Alternative {
  std::string what;
  std::string reason;  ///< why it is not done
};

/// Formats that packed weights might be stored in instead: bytes, tokens a second if all is held, and the
/// error that they add to the weights, measured on one of the model's own matrices. None for a model with
/// unpacked blocks, whose packing plan/format_choice.h weighs. `machine`: has measured the types of
/// `alternative_types`.
std::vector<Alternative> alternatives(const std::shared_ptr<nn::Model>& tree, const MemoryPlan& plan,
                                      const RunGoal& goal, const MachineProfile& machine);
std::vector<std::string> alternative_types();

}  // namespace martlet::plan
