#pragma once

// How fast a run within a budget of memory would be: what the disk adds to the forecast of products.

#include <vector>

#include "plan/format_choice.h"
#include "plan/machine.h"

namespace martlet::plan {

/// Types whose speed `tokens_per_second` asks for besides those of the tree.
std::vector<std::string> packed_types();

/// Predicted for every plan of a choice, of all sequences together, were the disk no limit; 0 for one that
/// does not fit. `tree`: as it was when the choice was made.
std::vector<double> tokens_per_second(const std::shared_ptr<nn::Model>& tree, const FormatChoice& choice,
                                      const RunGoal& goal, const MachineProfile& machine);

/// Adds what reading the streamed blocks takes.
void add_disk(RunForecast& forecast, const infer::Residency& residency, const RunGoal& goal,
              double disk_bandwidth);

}  // namespace martlet::plan
