#pragma once

// The plan of `train`: what happens to the model, what a step takes, and what was not done and why.

#include <memory>
#include <string>
#include <vector>

#include "plan/run_plan.h"
#include "plan/train_forecast.h"

namespace martlet::plan {

/// A rewrite that the planner turned on by itself.
struct ChosenRewrite {
  std::string name;
  std::string reason;
};

struct TrainPlan {
  TrainForecast forecast;
  uint64_t memory = 0;  ///< that may be used; 0: no limit
  bool fits = true;
  std::vector<ChosenRewrite> chosen;
  std::vector<RejectedRewrite> rejected;
  /// Where it does not fit: the largest batch of sequences that would, the plan's rewrites included; 0: none.
  int64_t fitting_batch = 0;
};

/// Plans a run within `memory` bytes (0: no limit). Where the step does not fit as it is, recompute of all
/// blocks is applied to the tree and added to `history`, unless it is there already or in `skip`: gradients
/// keep their bits. Everything else that the catalogue has changes what is learned, and is left to whoever
/// asks for it.
TrainPlan plan_training(const std::shared_ptr<nn::Model>& model, const TrainGoal& goal, uint64_t memory,
                        nn::RewriteCatalogue catalogue, nn::RewriteHistory& history,
                        const std::vector<std::string>& skip = {});

/// One sentence for a plan that does not fit: what it takes, what there is, and what would fit.
std::string why_not(const TrainPlan& plan, const TrainGoal& goal);

}  // namespace martlet::plan
