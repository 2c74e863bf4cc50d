#include "compress/llm_int8.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "nn/apply_rewrite.h"
#include "nn/layers.h"
#include "nn/tree.h"
#include "ops/outlier_linear.h"
#include "support/random_model.h"

namespace martlet::compress {
namespace {

constexpr const nn::Rewrite* kOnly[] = {&kLlmInt8};

nn::RewriteHistory applied_to(const nn::ModulePtr& tree, const char* arguments) {
  nn::RewriteHistory history;
  nn::apply_rewrite(tree, {"llm_int8", Json::parse(arguments, "test")}, kOnly, history);
  return history;
}

TEST(LlmInt8, EveryLinearOfTheLayersIsReplacedAndTheHeadIsNot) {
  const auto model = testing::random_llama(1);
  const std::optional<nn::Effect> effect =
      kLlmInt8.effect(model, nn::Arguments(kLlmInt8.arguments, Json::Object{}, "test"));
  const nn::TreeSize before = nn::measure(*model);
  const nn::RewriteHistory history = applied_to(model, "{}");
  EXPECT_THAT(history.back().to_string(),
              ::testing::StartsWith("llm_int8 pattern=layers.** threshold=6.0: 14 modules"));
  EXPECT_EQ(nn::module_at(*model, "layers.0.attention.q_proj")->kind(), "OutlierLinear");
  EXPECT_EQ(nn::module_at(*model, "lm_head")->kind(), "AffineLinear");
  ASSERT_TRUE(effect);
  EXPECT_EQ(nn::measure(*model).bytes - before.bytes, effect->weight_bytes);
}

TEST(LlmInt8, ALayerComputesWhatTheOperationSays) {
  const auto model = testing::random_llama(2);
  const std::string path = "layers.1.feed_forward.up_proj";
  const auto plain = std::dynamic_pointer_cast<nn::AffineLinear>(nn::module_at(*model, path));
  const ops::ByteRows rows = ops::byte_rows(plain->weight.weight());
  applied_to(model, R"({"pattern": "layers.1.**", "threshold": 0.5})");
  const auto linear = std::dynamic_pointer_cast<nn::Linear>(nn::module_at(*model, path));
  std::vector<float> x(static_cast<size_t>(3 * linear->in_features()));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * i % 23) / 20 - 0.5f;
  const Tensor input = Tensor::from(x, {3, linear->in_features()});
  EXPECT_EQ(linear->forward(input).to_vector<float>(),
            ops::outlier_linear(input, rows, 0.5f).to_vector<float>());
  EXPECT_EQ(nn::module_at(*model, "layers.0.feed_forward.up_proj")->kind(), "AffineLinear");
}

TEST(LlmInt8, APatternWithoutAPlainLinearIsRefused) {
  const auto model = testing::random_llama(3);
  applied_to(model, "{}");
  EXPECT_THROW(applied_to(model, "{}"), Error);
}

}  // namespace
}  // namespace martlet::compress
