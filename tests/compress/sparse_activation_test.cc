#include "compress/sparse_activation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "nn/apply_rewrite.h"
#include "nn/layers.h"

namespace martlet::compress {
namespace {

using ::testing::HasSubstr;

constexpr const nn::Rewrite* kCatalogue[] = {&kSparseActivation};

Tensor drawn(const Shape& shape, uint64_t seed) {
  const Philox random(seed);
  std::vector<float> values(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i)) / 4;
  return Tensor::from(values, shape);
}

void fill(nn::Linear& linear, uint64_t seed) {
  auto& affine = dynamic_cast<nn::AffineLinear&>(linear);
  affine.weight.set(drawn({affine.out_features(), affine.in_features()}, seed));
  if (affine.bias) affine.bias->set(drawn({affine.out_features()}, seed + 1));
}

/// A feed-forward layer at "feed_forward" of some module.
struct Holder final : nn::Module {
  explicit Holder(std::shared_ptr<nn::FeedForward> layer)
      : feed_forward(*this, "feed_forward", std::move(layer)) {}
  std::string_view kind() const override { return "Holder"; }
  nn::Child<nn::FeedForward> feed_forward;
};

std::shared_ptr<Holder> gated(ops::Unary activation, bool bias = false) {
  auto layer = std::make_shared<nn::GatedFeedForward>(24, 80, activation, bias);
  fill(*layer->gate_proj, 1);
  fill(*layer->up_proj, 3);
  fill(*layer->down_proj, 5);
  return std::make_shared<Holder>(layer);
}

std::shared_ptr<Holder> plain(ops::Unary activation) {
  auto layer = std::make_shared<nn::PlainFeedForward>(24, 80, activation, true);
  fill(*layer->up_proj, 3);
  fill(*layer->down_proj, 5);
  return std::make_shared<Holder>(layer);
}

nn::RewriteHistory rewrite(const nn::ModulePtr& root) {
  nn::RewriteHistory history;
  nn::apply_rewrite(root, {"sparse_activation", Json().set("pattern", "feed_forward")}, kCatalogue, history);
  return history;
}

TEST(SparseActivation, ComputesTheSameUpToTheOrderOfSums) {
  const Tensor x = drawn({7, 24}, 9);
  for (const auto& make :
       {+[] { return gated(ops::Unary::kRelu); }, +[] { return gated(ops::Unary::kRelu, true); },
        +[] { return gated(ops::Unary::kReluSquared); }, +[] { return plain(ops::Unary::kRelu); }}) {
    const auto holder = make();
    const std::vector<float> wanted = holder->feed_forward->forward(x).to_vector<float>();
    rewrite(holder);
    const std::vector<float> got = holder->feed_forward->forward(x).to_vector<float>();
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 2e-5) << i;
  }
}

TEST(SparseActivation, ReportsTheShareOfNeuronsThatFired) {
  const auto holder = gated(ops::Unary::kRelu);
  const Tensor x = drawn({7, 24}, 9);
  const auto& dense = dynamic_cast<const nn::GatedFeedForward&>(*holder->feed_forward);
  double fired = 0;
  for (const float value : dense.gate_proj->forward(x).to_vector<float>()) fired += value > 0 ? 1 : 0;
  const nn::RewriteHistory history = rewrite(holder);
  holder->feed_forward->forward(x);
  const Json rows = kSparseActivation.report(holder);
  ASSERT_EQ(rows.array().size(), 1u);
  EXPECT_DOUBLE_EQ(rows.array()[0].find("neurons_read")->real(), fired / (7 * 80));
}

TEST(SparseActivation, KeepsThePlainWeightsForReadersWithoutRewrites) {
  const auto holder = gated(ops::Unary::kRelu, true);
  const auto& dense = dynamic_cast<const nn::GatedFeedForward&>(*holder->feed_forward);
  const auto& down = dynamic_cast<const nn::AffineLinear&>(*dense.down_proj);
  const std::vector<float> wanted = down.weight.tensor().to_vector<float>();
  rewrite(holder);
  const nn::ModulePtr now = nn::module_at(*holder, "feed_forward.down_proj");
  const auto parameters = dynamic_cast<const nn::Substitute&>(*now).plain_parameters();
  ASSERT_EQ(parameters.size(), 2u);
  EXPECT_EQ(parameters[0].second.to_vector<float>(), wanted);
}

TEST(SparseActivation, RefusesActivationsWithoutZeros) {
  const auto holder = gated(ops::Unary::kSilu);
  try {
    rewrite(holder);
    FAIL() << "it was taken";
  } catch (const Error& error) {
    EXPECT_THAT(std::string(error.what()), HasSubstr("only relu and relu2"));
  }
}

}  // namespace
}  // namespace martlet::compress
