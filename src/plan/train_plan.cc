#include "plan/train_plan.h"

#include <algorithm>

#include "base/error.h"
#include "base/human.h"

namespace martlet::plan {
namespace {

constexpr std::string_view kRecompute = "recompute";

std::string bytes_text(int64_t bytes) {
  return format_bytes(static_cast<uint64_t>(std::max<int64_t>(0, bytes)));
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_applied(const nn::RewriteHistory& history, std::string_view name) {
  return std::any_of(history.begin(), history.end(), [&](const nn::AppliedRewrite& applied) {
    return !applied.skipped && applied.rewrite->name == name;
  });
}

/// What a run of this goal takes; nothing where there are not even addresses for it.
std::optional<TrainForecast> forecast_or_none(nn::Model& model, const TrainGoal& goal) {
  try {
    return forecast_training(model, goal);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kExhausted) throw;
    return std::nullopt;
  }
}

bool fits(nn::Model& model, TrainGoal goal, int64_t batch, uint64_t memory) {
  goal.batch = batch;
  const std::optional<TrainForecast> forecast = forecast_or_none(model, goal);
  return forecast && static_cast<uint64_t>(forecast->memory.process()) <= memory;
}

/// The largest batch below the goal's that fits, by halving the range; 0 when not even one sequence does.
int64_t largest_fitting_batch(nn::Model& model, const TrainGoal& goal, uint64_t memory) {
  int64_t least = 0, most = goal.batch;  // `least` fits, `most` does not
  while (most - least > 1) {
    const int64_t middle = least + (most - least) / 2;
    (fits(model, goal, middle, memory) ? least : most) = middle;
  }
  return least;
}

std::string reason_to_leave(const nn::Rewrite& rewrite, const TrainPlan& plan,
                            const std::vector<std::string>& skip) {
  if (rewrite.name == kRecompute) {
    if (contains(skip, kRecompute)) return "it was to be left out";
    return plan.memory == 0
               ? "no limit of memory asks for it"
               : fmt::format("a step fits without it: {} of {}", bytes_text(plan.forecast.memory.process()),
                             format_bytes(plan.memory));
  }
  if (rewrite.report != nullptr) return "it only watches";
  if (rewrite.exactness == nn::Exactness::kExact)
    return fmt::format("it changes what is learned; ask for it with --rewrite {}", rewrite.name);
  return fmt::format("its output is {}; ask for it with --rewrite {}", name_of(rewrite.exactness),
                     rewrite.name);
}

void reject_the_rest(TrainPlan& plan, nn::RewriteCatalogue catalogue, const nn::RewriteHistory& history,
                     const std::vector<std::string>& skip) {
  for (const nn::Rewrite* rewrite : catalogue)
    if (!is_applied(history, rewrite->name))
      plan.rejected.push_back(
          {{std::string(rewrite->name), Json(Json::Object{})}, reason_to_leave(*rewrite, plan, skip)});
}

}  // namespace

TrainPlan plan_training(const std::shared_ptr<nn::Model>& model, const TrainGoal& goal, uint64_t memory,
                        nn::RewriteCatalogue catalogue, nn::RewriteHistory& history,
                        const std::vector<std::string>& skip) {
  TrainPlan plan;
  plan.memory = memory;
  plan.forecast = forecast_training(*model, goal);
  const auto fits_now = [&] {
    return memory == 0 || static_cast<uint64_t>(plan.forecast.memory.process()) <= memory;
  };
  plan.fits = fits_now();
  if (!plan.fits && !is_applied(history, kRecompute) && !contains(skip, kRecompute)) {
    const int64_t plain = plan.forecast.memory.process();
    nn::apply_rewrite(model, {std::string(kRecompute), Json(Json::Object{})}, catalogue, history);
    plan.forecast = forecast_training(*model, goal);
    plan.fits = fits_now();
    plan.chosen.push_back(
        {std::string(kRecompute),
         fmt::format("without it a step takes {} and {} are there; with it {}", bytes_text(plain),
                     format_bytes(memory), bytes_text(plan.forecast.memory.process()))});
  }
  if (!plan.fits) plan.fitting_batch = largest_fitting_batch(*model, goal, memory);
  reject_the_rest(plan, catalogue, history, skip);
  return plan;
}

std::string why_not(const TrainPlan& plan, const TrainGoal& goal) {
  const TrainMemory& memory = plan.forecast.memory;
  std::string text = fmt::format(
      "training with --batch {} and --seq {} takes about {} (weights {}, gradients {}, optimiser {}, "
      "activations "
      "{}) and {} are there",
      goal.batch, goal.seq, bytes_text(memory.process()), bytes_text(memory.weights),
      bytes_text(memory.gradients), bytes_text(memory.optimiser), bytes_text(memory.activations),
      format_bytes(plan.memory));
  const std::string also = plan.chosen.empty() ? "" : " with recompute";
  if (plan.fitting_batch == 0)
    return text + fmt::format(
                      "; not even --batch 1 fits{}: take a smaller model, a shorter --seq, or --optimizer "
                      "adafactor or sgd, which remember less",
                      also);
  const int64_t times = (goal.batch + plan.fitting_batch - 1) / plan.fitting_batch;
  return text + fmt::format("; --batch {} fits{}, and --accumulate {} makes the step as large as it was",
                            plan.fitting_batch, also, times * goal.accumulate);
}

}  // namespace martlet::plan
