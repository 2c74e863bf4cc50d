#include "plan/run_plan.h"

#include <gtest/gtest.h>
#include <map>

#include "infer/kv_cache.h"
#include "plan/catalogue.h"
#include "plan/run_speed.h"
#include "support/random_model.h"

namespace martlet::plan {
namespace {

/// A machine of round numbers, whose attention costs nothing.
MachineProfile machine_for(const std::shared_ptr<nn::Model>& model, const RunGoal& goal) {
  MachineProfile machine{"test", 1, {{"f32", 1e9, 1e10}, {"bf16", 2e9, 2e10}}};
  for (const AttentionKind& kind : attention_kinds(model, goal)) machine.attention.push_back({kind});
  return machine;
}

RunPlan plan_of(const std::shared_ptr<nn::Model>& model, const RunGoal& goal) {
  return plan_run(model, goal, machine_for(model, goal), rewrites());
}

TEST(RunPlan, ForecastsTheCacheThatGenerationGrows) {
  const auto model = martlet::testing::random_llama(2);
  for (const RunGoal& goal : {RunGoal{5, 3}, RunGoal{60, 10}, RunGoal{200, 57}, RunGoal{700, 400}}) {
    infer::GrowingKvCache cache(2);
    for (int64_t done = 0; done < goal.prompt_tokens + goal.new_tokens;) {
      const int64_t now = done < goal.prompt_tokens ? std::min<int64_t>(512, goal.prompt_tokens - done) : 1;
      for (int64_t layer = 0; layer < 2; ++layer)
        cache.append(layer, ops::CacheFormat::kF32, Tensor::zeros({now, 2, 8}, DType::kF32),
                     Tensor::zeros({now, 2, 8}, DType::kF32));
      done += now;
    }
    EXPECT_EQ(plan_of(model, goal).forecast.cache_bytes, cache.byte_count()) << goal.prompt_tokens;
  }
}

TEST(RunPlan, SaysWhyEachRewriteIsLeftOut) {
  const RunPlan plan = plan_of(martlet::testing::random_llama(2), {});
  std::map<std::string, std::string> reasons;
  for (const RejectedRewrite& rejected : plan.rejected) {
    reasons[rejected.request.name] = rejected.reason;
    EXPECT_FALSE(rejected.reason.empty());
  }
  for (const nn::Rewrite* rewrite : rewrites())
    EXPECT_EQ(reasons.contains(std::string(rewrite->name)), !rewrite->passing) << rewrite->name;
  const auto says = [&](const std::string& name, std::string_view words) {
    EXPECT_NE(reasons[name].find(words), std::string::npos) << name << ": " << reasons[name];
  };
  says("cast", "would save");
  says("cast", "approximate");
  says("quantize", "would save");
  says("llm_int8", "would save");
  says("int8_activations", "it would save neither memory nor time here");
  says("kv_cache", "of each 64 positions' keys and values");
  says("sparse_activation", "relu");
  says("tie", "depends on its arguments");
  says("probe", "it would save neither memory nor time here");
}

TEST(RunPlan, FitsWhenTheForecastIsWithinTheMemory) {
  const auto model = martlet::testing::random_llama(2);
  RunGoal goal{20, 20};
  const auto needed = static_cast<uint64_t>(plan_of(model, goal).forecast.total_bytes());
  goal.memory = needed;
  EXPECT_TRUE(plan_of(model, goal).fits);
  goal.memory = needed - 1;
  EXPECT_FALSE(plan_of(model, goal).fits);
}

}  // namespace
}  // namespace martlet::plan
