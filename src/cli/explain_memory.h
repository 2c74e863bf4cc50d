#pragma once

// What `explain run --memory` tells of a budget of memory.

#include <string>
#include <vector>

#include "base/json.h"
#include "models/open.h"
#include "plan/memory_plan.h"

namespace martlet::cli {

struct MemoryReport {
  plan::MemoryPlan plan;
  double disk_bandwidth = 0;  ///< of the streamed file; 0 where nothing streams
  std::vector<plan::Alternative> alternatives = {};
};

/// Plans within `goal.memory`. Where the plan fits, its rewrite is applied to the model, and the disk's part
/// is added to the forecast of `run`.
MemoryReport plan_within(models::OpenModel& model, const plan::RunGoal& goal,
                         const plan::MachineProfile& machine, plan::RunPlan& run);

/// Lines for people.
std::string text_of(const MemoryReport& report, const plan::RunGoal& goal);
Json to_json(const MemoryReport& report);

}  // namespace martlet::cli
