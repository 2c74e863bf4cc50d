#include "plan/run_plan.h"

#include <gtest/gtest.h>
#include <map>

#include "base/error.h"
#include "infer/kv_cache.h"
#include "plan/catalogue.h"
#include "support/random_model.h"

namespace martlet::plan {
namespace {

/// A machine of round numbers.
MachineProfile machine() {
  return {"test", 1, {{"f32", 1e9, 1e10}, {"bf16", 2e9, 2e10}}};
}

RunPlan plan_of(const std::shared_ptr<nn::Model>& model, const RunGoal& goal) {
  return plan_run(model, goal, machine(), rewrites());
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

TEST(RunPlan, DecodingReadsEveryLinearWeightOnce) {
  const auto model = martlet::testing::random_llama(2);
  const int64_t linear = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48) + 97 * 32;
  // Two layers of two heads; rows of 8 values lie 16 apart.
  const double cache = (10 + 1) * 2 * 2 * (8 + 16) * 4.0;
  EXPECT_NEAR(plan_of(model, {10, 2}).forecast.decode_tokens_per_s, 1e9 / (4.0 * linear + cache), 1);
}

TEST(RunPlan, DecodingReadsTheChosenExpertsAlone) {
  Json config = martlet::testing::small_llama_config();
  config.set("model_type", "mixtral").set("num_local_experts", 8).set("num_experts_per_tok", 2);
  const auto model = martlet::testing::random_model(config, 2);
  // Attention, router, and two experts of eight for one token; of two tokens 1 - (3/4)^2 of the experts.
  const double others = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 8 * 32) + 97 * 32;
  const double experts = 2 * 8 * 3 * 32 * 48;
  const double cache = (10 + 1) * 2 * 2 * (8 + 16) * 4.0;
  const double one = 4 * (others + experts / 4) + cache;
  EXPECT_NEAR(plan_of(model, {10, 2}).forecast.decode_tokens_per_s, 1e9 / one, 1);
  const double two = 4 * (others + experts * 0.4375) + 2 * cache;
  EXPECT_NEAR(plan_of(model, {10, 2, 2}).forecast.decode_tokens_per_s, 2e9 / two, 1);
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

TEST(RunPlan, AsksForASpeedThatWasNotMeasured) {
  MachineProfile without = machine();
  without.products.erase(without.products.begin());
  EXPECT_THROW(plan_run(martlet::testing::random_llama(2), {}, without, rewrites()), Error);
}

TEST(Machine, MeasuresEveryTypeItIsAskedFor) {
  const std::vector<std::string> types{"f32", "q4_1"};
  const MachineProfile profile = measure_machine(types);
  ASSERT_EQ(profile.products.size(), 2u);
  for (const std::string& type : types) {
    ASSERT_NE(profile.find(type), nullptr);
    EXPECT_GT(profile.find(type)->one_row_bytes_per_s, 1e6);
    EXPECT_GT(profile.find(type)->many_rows_operations_per_s, 1e6);
  }
  EXPECT_EQ(profile.find("bf16"), nullptr);
}

}  // namespace
}  // namespace martlet::plan
