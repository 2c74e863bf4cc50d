#include "plan/run_plan.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "base/error.h"
#include "base/human.h"
#include "infer/generate.h"
#include "nn/sparse_experts.h"

namespace martlet::plan {
namespace {

constexpr int64_t kTilePositions = ops::KeyValueTiles::kPositions;

struct AttentionSizes {
  int64_t query = 0;   ///< heads * head_dim of all layers
  int64_t widest = 0;  ///< query, keys and values of one token in one layer
};

AttentionSizes attention_sizes(const nn::ModulePtr& tree) {
  AttentionSizes sizes;
  nn::walk(tree, [&](const std::string&, const nn::ModulePtr& module) {
    const auto* attention = dynamic_cast<const nn::Attention*>(module.get());
    if (attention == nullptr) return;
    const nn::AttentionShape& shape = attention->shape();
    sizes.query += shape.heads * shape.head_dim;
    sizes.widest = std::max(sizes.widest, (2 * shape.heads + 2 * shape.key_value_heads) * shape.head_dim);
  });
  return sizes;
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
  const AttentionSizes attention = attention_sizes(tree);
  RunForecast forecast = forecast_memory(tree, goal);
  const ProductTimes products = product_times(tree, machine, goal.batch);
  const ProductSpeed* plain = machine.find("f32");
  const auto prompt = static_cast<double>(goal.prompt_tokens);
  const auto batch = static_cast<double>(goal.batch);
  // Scores and their sums over values: two operations each for every earlier position.
  const double scores = 2 * prompt * prompt * static_cast<double>(attention.query);
  forecast.prompt_seconds = batch * (prompt * products.a_row + scores / plain->many_rows_operations_per_s);
  const double cache_read =
      static_cast<double>(forecast.cache_bytes) * share_of_cache(goal) / plain->one_row_bytes_per_s;
  // Rows beyond the first cost what they compute, once that is more than reading the weights.
  const double step = std::max(products.one_row, batch * products.a_row) + cache_read;
  forecast.decode_tokens_per_s = batch / step;
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

int64_t cache_tiles(const RunGoal& goal) {
  const int64_t first = std::min(goal.prompt_tokens, infer::kPrefillTokens);
  int64_t tiles = std::max<int64_t>(1, (first + kTilePositions - 1) / kTilePositions);
  while (tiles * kTilePositions < goal.prompt_tokens + goal.new_tokens) tiles *= 2;
  return tiles;
}

double share_of_cache(const RunGoal& goal) {
  const double middle = static_cast<double>(goal.prompt_tokens) + static_cast<double>(goal.new_tokens) / 2;
  return middle / static_cast<double>(cache_tiles(goal) * kTilePositions);
}

ProductTimes product_times(const nn::ModulePtr& tree, const MachineProfile& machine, int64_t batch) {
  ProductTimes times;
  nn::walk_with_use(tree, [&](const std::string& path, const nn::ModulePtr& module, double use) {
    if (dynamic_cast<const nn::Linear*>(module.get()) == nullptr) return;
    for (const nn::Parameter* parameter : module->parameters()) {
      if (parameter->shape().rank() != 2) continue;
      const ProductSpeed* speed = machine.find(parameter->type_name());
      if (speed == nullptr)
        failed("the machine's speed with {} weights was not measured", parameter->type_name());
      const double seconds = nn::part_in_use(use, static_cast<double>(batch)) *
                             static_cast<double>(parameter->byte_count()) / speed->one_row_bytes_per_s;
      times.one_row += seconds;
      // Only the last position of a prompt goes through the head.
      if (!path.starts_with("layers.")) continue;
      const double operations = 2.0 * use * static_cast<double>(parameter->element_count());
      times.one_row_of_blocks += seconds;
      times.operations_of_blocks += operations;
      times.a_row += operations / speed->many_rows_operations_per_s;
    }
  });
  return times;
}

RunForecast forecast_memory(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal) {
  const AttentionSizes attention = attention_sizes(tree);
  const nn::ModelShape& shape = tree->shape();
  const auto f32 = static_cast<int64_t>(sizeof(float));
  RunForecast forecast;
  forecast.weight_bytes = nn::measure(*tree).bytes;
  forecast.cache_bytes = goal.batch * cache_tiles(goal) * nn::cache_tile_bytes(tree);
  const int64_t tokens = std::min(infer::kPrefillTokens, goal.batch * goal.prompt_tokens);
  const int64_t inner = std::max(attention.widest, 2 * widest_inner(tree)) + 3 * shape.hidden_size;
  const int64_t scores = goal.batch * goal.scores * 2 * shape.vocabulary_size;
  forecast.activation_bytes = std::max(tokens * inner, scores) * f32;
  return forecast;
}

std::vector<std::string> weight_types(const nn::Module& tree) {
  std::set<std::string> types{"f32"};
  nn::walk_parameters(tree, [&](const std::string&, nn::Parameter& parameter) {
    if (parameter.shape().rank() == 2 && parameter.defined()) types.emplace(parameter.type_name());
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
