#include "compress/cast.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "nn/apply_rewrite.h"
#include "nn/decoder.h"
#include "support/random_model.h"

namespace martlet::compress {
namespace {

constexpr const nn::Rewrite* kCatalogue[] = {&kCast};

nn::RewriteHistory cast_all(const nn::ModulePtr& model, std::string_view pattern, std::string_view to) {
  nn::RewriteRequest request{"cast", {}};
  request.arguments.set("pattern", pattern).set("to", to);
  nn::RewriteHistory history;
  nn::apply_rewrite(model, request, kCatalogue, history);
  return history;
}

std::vector<float> logits_of(nn::Model& model) {
  nn::Batch batch;
  batch.add(std::vector<int32_t>{1, 5, 9});
  return model.logits(model.hidden(batch)).to_vector<float>();
}

TEST(Cast, ToTheDtypeThatTheWeightsHaveIsExact) {
  const auto model = martlet::testing::random_llama(3);
  const std::vector<float> before = logits_of(*model);
  EXPECT_TRUE(cast_all(model, "**", "f32")[0].changed.empty());
  EXPECT_EQ(logits_of(*model), before);
}

TEST(Cast, RoundsEveryMatrixOfThePatternToNearestAndNoOther) {
  const auto model = martlet::testing::random_llama(3);
  const auto plain = martlet::testing::random_llama(3);
  cast_all(model, "layers.1.**", "bf16");
  nn::walk_parameters(*model, [&](const std::string& path, nn::Parameter& parameter) {
    const bool is_cast = path.starts_with("layers.1.") && parameter.shape().rank() == 2;
    EXPECT_EQ(parameter.type_name(), is_cast ? "bf16" : "f32") << path;
  });
  const auto weight = [](const std::shared_ptr<nn::Model>& root) {
    const auto linear =
        std::dynamic_pointer_cast<nn::AffineLinear>(nn::module_at(*root, "layers.1.attention.q_proj"));
    return linear->weight.weight().unpack().to_vector<float>();
  };
  const std::vector<float> rounded = weight(model);
  const std::vector<float> exact = weight(plain);
  for (size_t i = 0; i < exact.size(); ++i) {
    // 8 significant bits: half a unit of the last place is 2^-9 of the value at most.
    EXPECT_LE(std::abs(rounded[i] - exact[i]), std::abs(exact[i]) / 256) << i;
  }
}

TEST(Cast, TheRoundTripThrough16BitsIsExactTheSecondTime) {
  const auto model = martlet::testing::random_llama(4);
  cast_all(model, "**", "f16");
  const std::vector<float> half = logits_of(*model);
  cast_all(model, "**", "f32");
  cast_all(model, "**", "f16");
  EXPECT_EQ(logits_of(*model), half);
}

TEST(Cast, PredictsTheBytesItSavesWithTiedWeightsOnce) {
  const auto model = martlet::testing::random_llama(3);
  const auto decoder = std::dynamic_pointer_cast<nn::DecoderModel>(model);
  std::dynamic_pointer_cast<nn::AffineLinear>(decoder->lm_head.get())
      ->weight.tie(std::dynamic_pointer_cast<nn::TableEmbedding>(decoder->embed_tokens.get())->weight);
  const nn::Arguments arguments(kCast.arguments, Json(Json::Object{}), "cast");
  const auto effect = kCast.effect(model, arguments);
  const nn::RewriteHistory history = cast_all(model, "**", "bf16");
  EXPECT_EQ(effect->weight_bytes, history[0].after.bytes - history[0].before.bytes);
  EXPECT_LT(effect->weight_bytes, 0);
}

}  // namespace
}  // namespace martlet::compress
