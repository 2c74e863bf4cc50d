#include "compress/bf16_activations.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "nn/apply_rewrite.h"
#include "nn/layers.h"
#include "ops/cast.h"
#include "ops/linear.h"

namespace martlet::compress {
namespace {

Tensor drawn(uint64_t seed, const Shape& shape) {
  const Philox random(seed);
  std::vector<float> values(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i));
  return Tensor::from(values, shape);
}

constexpr const nn::Rewrite* kOnly[] = {&kBF16Activations};

/// up_proj holds bf16 and down_proj f32.
std::shared_ptr<nn::PlainFeedForward> feed_forward() {
  auto module = std::make_shared<nn::PlainFeedForward>(64, 96, ops::Unary::kRelu, false);
  dynamic_cast<nn::AffineLinear&>(*module->up_proj)
      .weight.set(ops::Weight(ops::cast(drawn(1, {96, 64}), DType::kBF16)));
  dynamic_cast<nn::AffineLinear&>(*module->down_proj).weight.set(ops::Weight(drawn(2, {64, 96})));
  return module;
}

nn::Parameter& up_weight(nn::PlainFeedForward& module) {
  return dynamic_cast<nn::AffineLinear&>(*module.up_proj).weight;
}

void rewrite(const nn::ModulePtr& module, nn::RewriteHistory& history) {
  nn::apply_rewrite(module, {"bf16_activations", Json::parse(R"({"pattern": "**"})", "test")}, kOnly,
                    history);
}

TEST(BF16Activations, MarksBF16WeightsAlone) {
  const auto module = feed_forward();
  const std::byte* before = up_weight(*module).weight().storage().host_bytes();
  nn::RewriteHistory history;
  rewrite(module, history);
  EXPECT_EQ(history.back().changed, std::vector<std::string>{"up_proj"});
  EXPECT_TRUE(up_weight(*module).weight().takes_bf16());
  EXPECT_EQ(up_weight(*module).weight().storage().host_bytes(), before) << "the weight was copied";
}

TEST(BF16Activations, ComputesWhatLinearSaysOfSuchAWeight) {
  const auto module = feed_forward();
  const ops::Weight plain = up_weight(*module).weight();
  const Tensor x = drawn(3, {5, 64});
  const std::vector<float> exact = module->up_proj->forward(x).to_vector<float>();
  nn::RewriteHistory history;
  rewrite(module, history);
  const std::vector<float> changed = module->up_proj->forward(x).to_vector<float>();
  EXPECT_EQ(changed, ops::linear(x, plain.taking_bf16()).to_vector<float>());
  EXPECT_NE(changed, exact);
}

TEST(BF16Activations, LeavesWhatIsTrainedAlone) {
  const auto module = feed_forward();
  up_weight(*module).require_gradient();
  nn::RewriteHistory history;
  rewrite(module, history);
  EXPECT_FALSE(up_weight(*module).weight().takes_bf16());
}

}  // namespace
}  // namespace martlet::compress
