#include "plan/train_forecast.h"

#include <cmath>
#include <gtest/gtest.h>

#include "nn/apply_rewrite.h"
#include "nn/tree.h"
#include "plan/catalogue.h"
#include "plan/training_speed.h"
#include "support/gradients.h"
#include "support/random_model.h"
#include "train/trainer.h"

namespace martlet::plan {
namespace {

data::TrainingBatch batch_of(const TrainGoal& goal) {
  data::TrainingBatch batch;
  for (int64_t i = 0; i < goal.batch; ++i) {
    batch.starts.push_back(static_cast<int32_t>(i * goal.seq));
    for (int64_t t = 0; t < goal.seq; ++t) {
      batch.ids.push_back(static_cast<int32_t>((i * 13 + t * 7) % 97));
      batch.targets.push_back(static_cast<int32_t>((i * 13 + t * 7 + 7) % 97));
    }
  }
  batch.starts.push_back(static_cast<int32_t>(goal.batch * goal.seq));
  batch.target_count = goal.batch * goal.seq;
  return batch;
}

/// What a step really takes.
TrainMemory measured(nn::Model& model, const TrainGoal& goal) {
  const data::TrainingBatch batch = batch_of(goal);
  const auto use = [](Owner owner) { return memory_use(Device::kCpu)[static_cast<size_t>(owner)]; };
  reset_memory_peaks(Device::kCpu);
  const int64_t before = use(Owner::kActivations).now;
  const auto trained = train::trained_parameters(model);
  const auto optimizer = train::make_optimizer(goal.optimizer, trained, goal.optimizer_options);
  for (int64_t i = 0; i < goal.accumulate; ++i) EXPECT_TRUE(std::isfinite(train::loss_of(model, batch, 1)));
  train::gradient_norm(trained);
  optimizer->step(1e-3, 1);
  for (const auto& each : trained) each.parameter->clear_gradient();
  TrainMemory memory;
  memory.weights = use(Owner::kWeights).peak;
  memory.gradients = use(Owner::kGradients).peak;
  memory.optimiser = use(Owner::kOptimiser).peak;
  memory.activations = use(Owner::kActivations).peak - before;
  memory.total = total_memory_use(Device::kCpu).peak;
  return memory;
}

std::shared_ptr<nn::Model> model_to_train(const Json& config, std::vector<nn::RewriteRequest> requests = {}) {
  const OwnerScope owner(Owner::kWeights);
  const auto model = martlet::testing::random_model(config, 5);
  nn::RewriteHistory history;
  for (const nn::RewriteRequest& request : requests) nn::apply_rewrite(model, request, rewrites(), history);
  martlet::testing::require_gradients(*model);
  return model;
}

nn::RewriteRequest request_of(std::string_view name, std::string_view pattern) {
  nn::RewriteRequest request{std::string(name), {}};
  request.arguments.set("pattern", pattern);
  return request;
}

/// Within a share, and what kernels take for themselves on each thread.
void expect_near(int64_t predicted, int64_t found, double share, const std::string& what) {
  constexpr double kKernels = 2 << 20;
  EXPECT_NEAR(static_cast<double>(predicted), static_cast<double>(found),
              share * static_cast<double>(found) + kKernels)
      << what;
}

void expect_forecast(const Json& config, const std::vector<nn::RewriteRequest>& requests,
                     const TrainGoal& goal, const std::string& what) {
  const auto model = model_to_train(config, requests);
  const TrainMemory forecast = forecast_training(*model, goal).memory;
  const TrainMemory found = measured(*model, goal);
  // The same code asks for the same memory; only what kernels take for themselves is told roughly.
  EXPECT_EQ(forecast.optimiser, found.optimiser) << what;
  EXPECT_EQ(forecast.weights, found.weights) << what;
  EXPECT_GT(found.activations, 6 << 20) << what << ": too little to tell anything";
  expect_near(forecast.activations, found.activations, 0.05, what + ": activations");
  expect_near(forecast.gradients, found.gradients, 0.2, what + ": gradients");
  expect_near(forecast.total, found.total, 0.1, what + ": total");
}

TEST(TrainForecast, IsWhatAStepTakesInEveryFamilyThatPredictsTokens) {
  for (const auto& [name, config] : martlet::testing::family_configs()) {
    if (name == "bert") continue;
    expect_forecast(config, {}, {.batch = 48, .seq = 64}, name);
  }
}

TEST(TrainForecast, IsWhatAStepTakesUnderRewritesOptimisersAndAccumulation) {
  Json config = martlet::testing::small_llama_config();
  config.set("num_hidden_layers", 12);
  expect_forecast(config, {request_of("mixed", "**")}, {.batch = 48, .seq = 64}, "mixed");
  expect_forecast(config, {request_of("mixed", "**"), request_of("recompute", "layers.*")},
                  {.batch = 48, .seq = 64}, "mixed, recompute");
  expect_forecast(config, {request_of("recompute", "layers.*")}, {.batch = 48, .seq = 64}, "recompute");
  expect_forecast(config, {request_of("freeze", "layers.{0..5}"), request_of("freeze", "embed_tokens")},
                  {.batch = 48, .seq = 64}, "freeze");
  for (const std::string& optimizer : train::optimizer_names())
    expect_forecast(config, {}, {.batch = 12, .seq = 64, .optimizer = optimizer}, optimizer);
  expect_forecast(config, {}, {.batch = 12, .seq = 64, .accumulate = 3}, "accumulate");
}

TEST(TrainForecast, EveryOperationOfAStepStatesItsCost) {
  for (const auto& [name, config] : martlet::testing::family_configs()) {
    if (name == "bert") continue;
    for (const std::string& optimizer : train::optimizer_names()) {
      const auto model = model_to_train(config);
      double products = 0;
      for (const ops::CostRow& row :
           forecast_training(*model, {.batch = 2, .seq = 8, .optimizer = optimizer}).costs) {
        EXPECT_TRUE(row.states) << name << ", " << optimizer << ": " << row.operation;
        if (!row.kind.empty()) products += row.cost.operations;
      }
      EXPECT_GT(products, 0) << name;
    }
  }
}

TEST(TrainForecast, ProductsAreThreeTimesTheForwards) {
  const auto model = model_to_train(martlet::testing::small_llama_config());
  double products = 0;
  for (const ops::CostRow& row : forecast_training(*model, {.batch = 4, .seq = 8}).costs)
    if (row.kind == "f32") products += row.cost.operations;
  // Two blocks: q and o [32, 32], k and v [16, 32], three of [48, 32]; the head [97, 32].
  const double weights = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 48 * 32) + 97 * 32;
  EXPECT_EQ(products, 3 * 2 * 32 * weights);
}

TEST(TrainForecast, LeavesTheModelAsItWas) {
  const auto model = model_to_train(martlet::testing::small_llama_config());
  // What the forecast finds in memory must reach no value.
  nn::walk_parameters(*model, [](const std::string&, nn::Parameter& parameter) {
    Tensor::from(std::vector<float>(static_cast<size_t>(parameter.element_count()), NAN), parameter.shape());
  });
  const std::vector<std::vector<int32_t>> ids = {{3, 5, 8, 13, 21}};
  const auto before = martlet::testing::gradients_of(*model, ids);
  for (const std::string& optimizer : train::optimizer_names())
    forecast_training(*model, {.batch = 4, .seq = 8, .optimizer = optimizer, .ema = 0.9});
  EXPECT_EQ(martlet::testing::gradients_of(*model, ids), before);
}

TEST(TrainingSpeed, WeighsArithmeticAgainstBytesAndNearAgainstFar) {
  TrainingSpeed speed;
  speed.kinds = {{"f32", 100}, {"bf16", 200}};
  speed.operations_per_s = 1000;
  speed.near_bytes_per_s = 50;
  speed.far_bytes_per_s = 10;
  speed.cache_bytes = 100;
  speed.call_seconds = 1;
  EXPECT_DOUBLE_EQ(speed.seconds_of(ops::CostRow{"linear", "f32", 2, {400, 1e9, 0}}), 4 + 2);
  EXPECT_DOUBLE_EQ(speed.seconds_of(ops::CostRow{"linear", "bf16", 2, {400, 0, 0}}), 2 + 2);
  EXPECT_DOUBLE_EQ(speed.seconds_of(ops::CostRow{"linear", "q4_1", 1, {400, 0, 0}}), 4 + 1);
  EXPECT_DOUBLE_EQ(speed.seconds_of(ops::CostRow{"add", "", 2, {10, 100, 100}}), 200.0 / 50 + 2);
  EXPECT_DOUBLE_EQ(speed.seconds_of(ops::CostRow{"add", "", 1, {10, 100, 100}}), 200.0 / 10 + 1);
  EXPECT_DOUBLE_EQ(speed.seconds_of(ops::CostRow{"silu", "", 1, {8000, 10, 10}}), 8 + 1);
}

}  // namespace
}  // namespace martlet::plan
