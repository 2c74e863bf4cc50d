#include "compress/low_rank.h"

#include <cmath>
#include <gtest/gtest.h>

#include "base/error.h"
#include "nn/apply_rewrite.h"
#include "nn/layers.h"
#include "ops/svd.h"
#include "support/random_model.h"

namespace martlet::compress {
namespace {

constexpr const nn::Rewrite* kCatalogue[] = {&kLowRank};
constexpr std::string_view kPath = "layers.0.feed_forward.up_proj";

nn::AppliedRewrite decompose(const nn::ModulePtr& model, const Json& arguments) {
  nn::RewriteHistory history;
  nn::apply_rewrite(model, {"low_rank", arguments}, kCatalogue, history);
  return history[0];
}

Json arguments_of(std::string_view key, double value) {
  Json arguments;
  arguments.set("pattern", kPath).set(key, value);
  return arguments;
}

Tensor weight_of(const std::shared_ptr<nn::Model>& model) {
  const nn::ModulePtr module = nn::module_at(*model, kPath);
  if (const auto* plain = dynamic_cast<const nn::AffineLinear*>(module.get())) return plain->weight.tensor();
  for (const auto& [name, tensor] : dynamic_cast<const nn::Substitute&>(*module).plain_parameters())
    if (name == "weight") return tensor;
  return {};
}

double squared_difference(const Tensor& a, const Tensor& b) {
  const std::vector<float> left = a.to_vector<float>(), right = b.to_vector<float>();
  double sum = 0;
  for (size_t i = 0; i < left.size(); ++i) sum += std::pow(double{left[i]} - right[i], 2);
  return sum;
}

TEST(LowRank, TheErrorIsWhatTheSingularValuesCutOffLeave) {
  for (const int64_t rank : {1, 5, 31}) {
    const auto model = martlet::testing::random_llama(9);
    const Tensor exact = weight_of(model).clone();
    const std::vector<float> s = ops::svd(exact).s.to_vector<float>();
    double left = 0;
    for (size_t i = static_cast<size_t>(rank); i < s.size(); ++i) left += double{s[i]} * s[i];
    decompose(model, arguments_of("rank", static_cast<double>(rank)));
    EXPECT_NEAR(squared_difference(exact, weight_of(model)), left, 1e-5 * left + 1e-9) << rank;
  }
}

TEST(LowRank, AtFullRankTheOutputIsTheSameUpToRounding) {
  const auto plain = martlet::testing::random_llama(9);
  const auto model = martlet::testing::random_llama(9);
  Json arguments;
  arguments.set("pattern", "layers.*.{attention,feed_forward}.*_proj").set("rank", 1000);
  EXPECT_EQ(decompose(model, arguments).changed.size(), 14u);
  const auto logits = [](nn::Model& of) {
    nn::Batch batch;
    batch.add(std::vector<int32_t>{4, 8, 15});
    return of.logits(of.hidden(batch));
  };
  const Tensor a = logits(*plain), b = logits(*model);
  EXPECT_LT(squared_difference(a, b), 1e-9 * squared_difference(a, Tensor::zeros(a.shape(), DType::kF32)));
}

TEST(LowRank, EnergyChoosesTheLeastRankThatKeepsIt) {
  const auto model = martlet::testing::random_llama(9);
  const std::vector<float> s = ops::svd(weight_of(model)).s.to_vector<float>();
  double total = 0, held = 0;
  for (const float value : s) total += double{value} * value;
  size_t rank = 0;
  for (; held < 0.6 * total; ++rank) held += double{s[rank]} * s[rank];
  decompose(model, arguments_of("energy", 0.6));
  EXPECT_EQ(nn::module_at(*model, kPath)->details(), fmt::format("rank {}", rank));
}

TEST(LowRank, EnergyLeavesALayerAloneThatWouldNotGetSmaller) {
  const auto model = martlet::testing::random_llama(9);
  const Tensor exact = weight_of(model);
  EXPECT_TRUE(decompose(model, arguments_of("energy", 1)).changed.empty());
  EXPECT_TRUE(weight_of(model).shares_storage_with(exact));
}

TEST(LowRank, PredictsBytesAndOperations) {
  const auto model = martlet::testing::random_llama(9);
  const Json given = arguments_of("rank", 6);
  const auto effect = kLowRank.effect(model, nn::Arguments(kLowRank.arguments, given, "low_rank"));
  const nn::AppliedRewrite applied = decompose(model, given);
  EXPECT_EQ(effect->weight_bytes, applied.after.bytes - applied.before.bytes);
  EXPECT_EQ(effect->operations_per_token, 2.0 * (6 * (32 + 48) - 32 * 48));
}

TEST(LowRank, RankAndEnergyTogetherAreRefused) {
  Json arguments = arguments_of("rank", 3);
  arguments.set("energy", 0.5);
  EXPECT_THROW(decompose(martlet::testing::random_llama(9), arguments), Error);
}

TEST(LowRank, ADecomposedLayerIsNotDecomposedAgain) {
  const auto model = martlet::testing::random_llama(9);
  decompose(model, arguments_of("rank", 3));
  EXPECT_THROW(decompose(model, arguments_of("rank", 2)), Error);
}

}  // namespace
}  // namespace martlet::compress
