#include "train/balance_experts.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/record.h"
#include "base/error.h"
#include "base/random.h"
#include "nn/apply_rewrite.h"
#include "nn/tree.h"
#include "support/gradients.h"
#include "support/random_model.h"
#include "train/recompute.h"
#include "train/trainer.h"

namespace martlet::train {
namespace {

constexpr const nn::Rewrite* kCatalogue[] = {&kBalanceExperts, &kRecompute};
constexpr double kShare = 0.25, kLossScale = 8;

std::shared_ptr<nn::Model> experts(const char* rewrites = "") {
  Json config = martlet::testing::small_llama_config();
  config.set("model_type", "qwen2_moe")
      .set("num_hidden_layers", 3)
      .set("num_experts", 6)
      .set("num_experts_per_tok", 2)
      .set("moe_intermediate_size", 32)
      .set("shared_expert_intermediate_size", 32)
      .set("mlp_only_layers", Json::Array{Json(1)});
  auto model = martlet::testing::random_model(config, 4);
  nn::RewriteHistory history;
  for (const char* at = rewrites; *at != 0; ++at)
    nn::apply_rewrite(model,
                      *at == 'b' ? nn::RewriteRequest{"balance_experts", Json().set("coefficient", 0.5)}
                                 : nn::RewriteRequest{"recompute", {}},
                      kCatalogue, history);
  martlet::testing::require_gradients(*model);
  return model;
}

data::TrainingBatch batch() {
  data::TrainingBatch batch;
  const Philox random(2);
  for (int i = 0; i < 40; ++i) {
    batch.ids.push_back(static_cast<int32_t>(random.below(2 * static_cast<uint64_t>(i), 97)));
    batch.targets.push_back(static_cast<int32_t>(random.below(2 * static_cast<uint64_t>(i) + 1, 97)));
  }
  batch.starts = {0, 25, 40};
  batch.target_count = 40;
  return batch;
}

std::map<std::string, std::vector<float>> gradients_after(nn::Model& model) {
  loss_of(model, batch(), kShare, kLossScale);
  std::map<std::string, std::vector<float>> gradients;
  nn::walk_parameters(model, [&](const std::string& path, nn::Parameter& parameter) {
    if (parameter.gradient().defined()) gradients[path] = parameter.gradient().to_vector<float>();
    parameter.clear_gradient();
  });
  return gradients;
}

TEST(BalanceExperts, EqualProbabilitiesGiveTheLeastLoss) {
  const auto model = experts("b");
  const auto plain = experts();
  // Experts all alike: the coefficient times the number of choices, whatever they are. Moved off, it is more.
  for (const auto& tree : {model, plain})
    nn::walk_parameters(*tree, [](const std::string& path, nn::Parameter& parameter) {
      if (path.ends_with("router.weight")) parameter.set(Tensor::zeros(parameter.shape(), DType::kF32));
    });
  EXPECT_NEAR(loss_of(*model, batch(), 1) - loss_of(*plain, batch(), 1), 0.5 * 2, 1e-5);
  EXPECT_GT(loss_of(*experts("b"), batch(), 1) - loss_of(*experts(), batch(), 1), 0.5 * 2 + 1e-3);
}

TEST(BalanceExperts, WithoutRecordingTheLossIsThatOfTheModel) {
  const autograd::NoGradient no_gradient;
  EXPECT_EQ(loss_of(*experts("b"), batch(), 1), loss_of(*experts(), batch(), 1));
}

TEST(BalanceExperts, GradientsAgreeWithDifferences) {
  const auto model = experts("b");
  auto gradients = gradients_after(*model);
  auto without = gradients_after(*experts());
  int compared = 0;
  nn::walk_parameters(*model, [&](const std::string& path, nn::Parameter& parameter) {
    // The projection reaches the routers of all layers.
    if (!path.ends_with("router.weight") && path != "layers.0.attention.o_proj.weight") return;
    const Tensor before = parameter.tensor().detach().clone();
    for (const size_t at : {size_t{0}, size_t{33}, size_t{100}}) {
      constexpr float kStep = 1e-4f;  // small enough that no token chooses anew
      const auto moved = [&](float by) {
        std::vector<float> values = before.to_vector<float>();
        values[at] += by;
        parameter.set(Tensor::from(values, before.shape()));
        gradients_after(*model);
        return expert_balance_of(*model)->loss() * kShare * kLossScale;
      };
      const double slope = (moved(kStep) - moved(-kStep)) / (2.0 * kStep);
      EXPECT_NEAR(gradients.at(path)[at] - without.at(path)[at], slope, 2e-2 * std::fabs(slope) + 2e-3)
          << path << " " << at;
      compared += std::fabs(slope) > 1e-2 ? 1 : 0;
    }
    parameter.set(before);
  });
  EXPECT_GE(compared, 6);
}

TEST(BalanceExperts, LayersThatAreComputedAgainGiveTheSameBits) {
  const auto expected = gradients_after(*experts("b"));
  EXPECT_EQ(gradients_after(*experts("br")), expected);
  EXPECT_EQ(gradients_after(*experts("rb")), expected);
}

TEST(BalanceExperts, ATreeWithoutExpertsIsRefusedAndSoIsASecondTime) {
  const auto refusal = [](const std::shared_ptr<nn::Model>& model) -> std::string {
    nn::RewriteHistory history;
    try {
      nn::apply_rewrite(model, {"balance_experts", {}}, kCatalogue, history);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refusal(martlet::testing::random_llama(1)),
              ::testing::HasSubstr("no feed-forward of sparse experts"));
  EXPECT_THAT(refusal(experts("b")), ::testing::HasSubstr("balanced already"));
}

}  // namespace
}  // namespace martlet::train
