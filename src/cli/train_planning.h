#pragma once

// What a training run will take, before it begins: the request as the planner takes it, and its answer.

#include "cli/train_request.h"
#include "models/open.h"
#include "plan/train_plan.h"

namespace martlet::cli {

plan::TrainGoal goal_of(const TrainRequest& request);

/// Bytes that the run may take: --memory, or what the machine and the cgroup have for this process. 0:
/// unknown.
uint64_t memory_for(const TrainRequest& request);

/// Throws kExhausted where not even the values of the tree's parameters fit.
void refuse_too_large(const nn::Module& tree, uint64_t memory);

/// Throws kExhausted, with what would fit, where the run would not: before any value is made or read, which
/// for a large model takes minutes. Rewrites that look at values are left to the plan of the model itself.
void refuse_what_does_not_fit(const TrainRequest& request);

/// The plan within that memory; rewrites that it chose are applied to the model.
plan::TrainPlan plan_of(const TrainRequest& request, models::OpenModel& model);

}  // namespace martlet::cli
