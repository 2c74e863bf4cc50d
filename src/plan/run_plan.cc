#include "plan/run_plan.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "base/error.h"
#include "base/human.h"
#include "infer/generate.h"
#include "nn/layers.h"
#include "nn/tree.h"
#include "plan/run_speed.h"

namespace martlet::plan {
namespace {

constexpr int64_t kTilePositions = ops::KeyValueTiles::kPositions;

/// Query, keys and values of one token in one layer, at most.
int64_t widest_attention(const nn::ModulePtr& tree) {
  int64_t widest = 0;
  nn::walk(tree, [&](const std::string&, const nn::ModulePtr& module) {
    const auto* attention = dynamic_cast<const nn::Attention*>(module.get());
    if (attention == nullptr) return;
    const nn::AttentionShape& shape = attention->shape();
    widest = std::max(widest, (2 * shape.heads + 2 * shape.key_value_heads) * shape.head_dim);
  });
  return widest;
}

/// Widest output of a linear layer inside the blocks.
int64_t widest_inner(const nn::ModulePtr& tree) {
  int64_t widest = 0;
  nn::walk(tree, [&](const std::string& path, const nn::ModulePtr& module) {
    const auto* linear = dynamic_cast<const nn::Linear*>(module.get());
    if (linear != nullptr && path.starts_with("layers.")) widest = std::max(widest, linear->out_features());
  });
  return widest;
}

RunForecast forecast_run(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal,
                         const MachineProfile& machine) {
  RunForecast forecast = forecast_memory(tree, goal);
  forecast.prompt_seconds = prompt_seconds(tree, goal, machine);
  forecast.decode_tokens_per_s = static_cast<double>(goal.batch) / decode_seconds(tree, goal, machine);
  return forecast;
}

std::string reason_to_reject(const nn::Rewrite& rewrite, const std::optional<nn::Effect>& effect) {
  if (!effect)
    return fmt::format("what it saves depends on its arguments and the weights, and its output is {}",
                       name_of(rewrite.exactness));
  std::vector<std::string> saved;
  const auto bytes = [](int64_t count) { return format_bytes(static_cast<uint64_t>(count)); };
  if (effect->weight_bytes < 0) saved.push_back(fmt::format("{} of weights", bytes(-effect->weight_bytes)));
  if (effect->cache_tile_bytes < 0)
    saved.push_back(fmt::format("{} of each {} positions' keys and values", bytes(-effect->cache_tile_bytes),
                                kTilePositions));
  if (effect->operations_per_token < 0)
    saved.push_back(fmt::format("{} operations a token", format_count(-effect->operations_per_token)));
  if (saved.empty()) return "it would save neither memory nor time here";
  const std::string text = fmt::format("would save {}", fmt::join(saved, " and "));
  if (rewrite.exactness == nn::Exactness::kExact) return text;
  return fmt::format("{}, but its output is {}; ask for it with --rewrite {}", text,
                     name_of(rewrite.exactness), rewrite.name);
}

}  // namespace

int64_t cache_tiles(const RunGoal& goal, const nn::ModelShape& shape) {
  return infer::tiles_with_room(shape.lead_positions + goal.prompt_tokens + goal.new_tokens);
}

RunForecast forecast_memory(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal) {
  const nn::ModelShape& shape = tree->shape();
  const auto f32 = static_cast<int64_t>(sizeof(float));
  RunForecast forecast;
  forecast.weight_bytes = nn::measure(*tree).bytes;
  forecast.cache_bytes = goal.batch * cache_tiles(goal, shape) * nn::cache_tile_bytes(tree);
  const int64_t tokens = std::min(infer::kPrefillTokens, goal.batch * goal.prompt_tokens);
  const int64_t inner = std::max(widest_attention(tree), 2 * widest_inner(tree)) + 3 * shape.hidden_size;
  const int64_t scores = goal.batch * goal.scores * 2 * shape.vocabulary_size;
  forecast.activation_bytes = std::max(tokens * inner, scores) * f32;
  return forecast;
}

std::vector<std::string> weight_types(const nn::Module& tree) {
  std::set<std::string> types{"f32"};
  nn::walk_parameters(tree, [&](const std::string&, nn::Parameter& parameter) {
    if (parameter.shape().rank() == 2 && parameter.defined()) types.emplace(product_type(parameter.weight()));
  });
  return {types.begin(), types.end()};
}

RunPlan plan_run(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal, const MachineProfile& machine,
                 nn::RewriteCatalogue catalogue) {
  RunPlan plan;
  plan.forecast = forecast_run(tree, goal, machine);
  plan.fits = goal.memory == 0 || static_cast<uint64_t>(plan.forecast.total_bytes()) <= goal.memory;
  for (const nn::Rewrite* rewrite : catalogue) {
    if (rewrite->passing) continue;
    const nn::Arguments arguments(rewrite->arguments, Json(Json::Object{}), rewrite->name);
    RejectedRewrite rejected{{std::string(rewrite->name), arguments.values()}, {}};
    try {
      rejected.reason = reason_to_reject(*rewrite, rewrite->effect(tree, arguments));
    } catch (const Error& error) {
      rejected.reason = error.what();
    }
    plan.rejected.push_back(std::move(rejected));
  }
  return plan;
}

}  // namespace martlet::plan
