#include "cli/train_planning.h"

#include "base/error.h"
#include "base/human.h"
#include "base/memory_limit.h"
#include "cli/model_flags.h"
#include "cli/training_setup.h"
#include "nn/tree.h"
#include "plan/catalogue.h"
#include "train/metrics.h"

namespace martlet::cli {

plan::TrainGoal goal_of(const TrainRequest& r) {
  return {.batch = r.batches.batch,
          .seq = r.batches.seq,
          .accumulate = r.trainer.accumulate,
          .steps = r.run.steps,
          .optimizer = r.optimizer,
          .optimizer_options = r.optimizer_options,
          .ema = r.trainer.ema,
          .snapshots = r.run.checkpoint_seconds > 0};
}

uint64_t memory_for(const TrainRequest& r) {
  // What the process holds already is part of what it will take.
  const std::optional<uint64_t> left = available_memory();
  const uint64_t all = left ? *left + static_cast<uint64_t>(train::resident_bytes()) : 0;
  if (r.memory == 0) return all;
  return all == 0 ? r.memory : std::min(all, r.memory);
}

void refuse_too_large(const nn::Module& tree, uint64_t memory) {
  const int64_t parameters = nn::measure(tree).parameters;
  const uint64_t bytes = static_cast<uint64_t>(parameters) * sizeof(float);
  if (memory > 0 && bytes > memory)
    fail(ErrorCode::kExhausted,
         "the model's {} parameters alone take {} and {} are there; take a smaller model",
         format_count(static_cast<double>(parameters)), format_bytes(bytes), format_bytes(memory));
}

void refuse_what_does_not_fit(const TrainRequest& r) {
  for (const nn::RewriteRequest& request : rewrites_of(r.rewrites))
    if (!nn::rewrite_named(plan::rewrites(), request.name).passing) return;
  models::OpenModel shape = open_to_train(r, Values::kNone);
  const plan::TrainPlan plan = plan_of(r, shape);
  if (!plan.fits) fail(ErrorCode::kExhausted, "{}", plan::why_not(plan, goal_of(r)));
}

plan::TrainPlan plan_of(const TrainRequest& r, models::OpenModel& model) {
  return plan::plan_training(model.tree, goal_of(r), memory_for(r), plan::rewrites(), model.rewrites, r.skip);
}

}  // namespace martlet::cli
