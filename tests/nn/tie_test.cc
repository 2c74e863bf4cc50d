#include "nn/tie.h"

#include <cmath>
#include <gtest/gtest.h>

#include "nn/apply_rewrite.h"
#include "support/gradients.h"
#include "support/random_model.h"

namespace martlet::nn {
namespace {

constexpr const Rewrite* kCatalogue[] = {&kTie};
const std::vector<std::vector<int32_t>> kSequences = {{3, 5, 8, 13, 21, 34, 55}, {1, 90, 80, 70, 60}};

RewriteHistory tie_to(const ModulePtr& model, std::string_view pattern, std::string_view to) {
  RewriteRequest request{"tie", Json(Json::Object{})};
  if (!pattern.empty()) request.arguments.set("pattern", pattern);
  if (!to.empty()) request.arguments.set("to", to);
  RewriteHistory history;
  apply_rewrite(model, request, kCatalogue, history);
  return history;
}

std::string message_of(std::string_view pattern, std::string_view to) {
  try {
    tie_to(martlet::testing::random_llama(6), pattern, to);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Tie, AHeadTiedToTheEmbeddingIsTheModelThatIsBuiltTied) {
  Json config = martlet::testing::small_llama_config();
  config.set("tie_word_embeddings", true);
  const auto built = martlet::testing::random_model(config, 6);
  // The tied model's one table was drawn under the head's name, the last to be set: begin with the same
  // values.
  const auto tied = martlet::testing::random_llama(6);
  tie_to(tied, "embed_tokens", "lm_head");
  martlet::testing::require_gradients(*built);
  martlet::testing::require_gradients(*tied);
  EXPECT_EQ(martlet::testing::gradients_of(*tied, kSequences),
            martlet::testing::gradients_of(*built, kSequences));
  EXPECT_EQ(measure(*tied).parameters, measure(*built).parameters);
}

TEST(Tie, BlocksThatShareOneHaveASumOfGradientsAndCountOnce) {
  const auto alone = martlet::testing::random_llama(6), shared = martlet::testing::random_llama(6);
  // The same function with parameters of their own: the gradient of the shared ones is the sum of both.
  walk_parameters(*module_at(*alone, "layers.1"), [&](const std::string& path, Parameter& parameter) {
    walk_parameters(*module_at(*alone, "layers.0"), [&](const std::string& other, Parameter& first) {
      if (other != path) return;
      parameter.shape().rank() == 2 ? parameter.set(first.weight()) : parameter.set(first.tensor());
    });
  });
  const std::optional<Effect> effect = kTie.effect(
      shared, Arguments(kTie.arguments,
                        Json::parse(R"({"pattern": "layers.*", "to": "layers.0"})", "arguments"), "tie"));
  const RewriteHistory history = tie_to(shared, "layers.*", "layers.0");
  EXPECT_EQ(history[0].changed, std::vector<std::string>{"layers.1"});
  ASSERT_TRUE(effect);
  EXPECT_EQ(effect->weight_bytes, measure(*shared).bytes - measure(*alone).bytes);
  martlet::testing::require_gradients(*alone);
  martlet::testing::require_gradients(*shared);
  const auto apart = martlet::testing::gradients_of(*alone, kSequences);
  const auto together = martlet::testing::gradients_of(*shared, kSequences);
  for (const auto& [path, values] : together) {
    if (!path.starts_with("layers.0.")) continue;
    const std::vector<float>& first = apart.at(path);
    const std::vector<float>& second = apart.at("layers.1." + path.substr(9));
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_NEAR(values[i], first[i] + second[i], 1e-4 * (1 + std::fabs(values[i]))) << path;
    EXPECT_EQ(together.at("layers.1." + path.substr(9)), values);
  }
}

TEST(Tie, RefusesModulesThatAreNotAlike) {
  EXPECT_EQ(message_of("", "embed_tokens"),
            "tie: it needs pattern=PATTERN, whose modules share the parameters of to=PATH");
  EXPECT_NE(message_of("layers.0.attention.q_proj", "layers.0.attention.k_proj").find("only equal shapes"),
            std::string::npos);
  EXPECT_NE(message_of("layers.0.attention", "layers.0.feed_forward").find("has none"), std::string::npos);
  EXPECT_NE(message_of("lm_head", "embed_token"), "");
  EXPECT_NE(message_of("lm_heads", "embed_tokens").find("matches no module"), std::string::npos);
}

}  // namespace
}  // namespace martlet::nn
