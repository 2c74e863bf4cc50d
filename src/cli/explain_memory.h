#pragma once

// What is told of a budget of memory.

#include <string>
#include <vector>

#include "base/json.h"
#include "plan/alternatives.h"
#include "plan/format_choice.h"

namespace martlet::cli {

struct MemoryReport {
  plan::FormatChoice choice;
  plan::MemoryPlan plan;                  ///< of the model in the chosen formats
  std::vector<double> tokens_per_s = {};  ///< predicted for each of the choice
  double disk_bandwidth = 0;              ///< of the model's files
  std::vector<plan::Alternative> alternatives = {};
};

/// What `run` says of its plan in one line: "memory: ...". `asked`: --memory was given.
std::string line_of(const plan::Formats& formats, const plan::MemoryPlan& plan, const plan::RunGoal& goal,
                    bool asked);

/// Lines for people.
std::string text_of(const MemoryReport& report, const plan::RunGoal& goal);
Json to_json(const MemoryReport& report, const plan::RunGoal& goal);

}  // namespace martlet::cli
