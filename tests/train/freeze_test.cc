#include "train/freeze.h"

#include <gtest/gtest.h>
#include <set>

#include "compress/cast.h"
#include "nn/apply_rewrite.h"
#include "support/gradients.h"
#include "support/random_model.h"
#include "train/optimizer.h"

namespace martlet::train {
namespace {

constexpr const nn::Rewrite* kCatalogue[] = {&kFreeze, &compress::kCast};
const std::vector<std::vector<int32_t>> kSequences = {{3, 5, 8, 13, 21, 34, 55}, {1, 90, 80, 70, 60}};

nn::RewriteHistory freeze(const nn::ModulePtr& model, std::string_view pattern,
                          std::string_view except = "") {
  nn::RewriteRequest request{"freeze", Json(Json::Object{})};
  if (!pattern.empty()) request.arguments.set("pattern", pattern);
  if (!except.empty()) request.arguments.set("except", except);
  nn::RewriteHistory history;
  nn::apply_rewrite(model, request, kCatalogue, history);
  return history;
}

std::string message_of(std::string_view pattern, std::string_view except = "") {
  try {
    freeze(martlet::testing::random_llama(6), pattern, except);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::set<std::string> trained_paths(const nn::Model& model) {
  std::set<std::string> paths;
  for (const TrainedParameter& trained : trained_parameters(model)) paths.insert(trained.path);
  return paths;
}

TEST(Freeze, LeavesTheGradientsOfEverythingElseToTheBitInEveryFamily) {
  for (const auto& [name, config] : martlet::testing::family_configs()) {
    const auto plain = martlet::testing::random_model(config, 5),
               model = martlet::testing::random_model(config, 5);
    martlet::testing::require_gradients(*plain);
    for (const std::string_view pattern :
         {"embed_*", "layers.0", "layers.*.attention.q_proj", "layers.*.feed_forward.down_proj.weight"})
      freeze(model, pattern);
    martlet::testing::require_gradients(*model);
    auto expected = martlet::testing::gradients_of(*plain, kSequences);
    const auto gradients = martlet::testing::gradients_of(*model, kSequences);
    std::erase_if(expected, [&](const auto& each) { return !gradients.contains(each.first); });
    EXPECT_EQ(gradients, expected) << name;
    EXPECT_FALSE(gradients.contains("layers.0.attention.k_proj.weight")) << name;
    EXPECT_FALSE(gradients.contains("layers.1.attention.q_proj.weight")) << name;
    EXPECT_FALSE(gradients.contains("layers.1.feed_forward.down_proj.weight")) << name;
    EXPECT_TRUE(gradients.contains("layers.1.attention.k_proj.weight")) << name;
    EXPECT_TRUE(gradients.contains("layers.1.feed_forward.up_proj.weight")) << name;
  }
}

TEST(Freeze, TakesWhatTheOptimiserRemembersToo) {
  const auto model = martlet::testing::random_llama(6);
  freeze(model, "layers.*");
  martlet::testing::require_gradients(*model);
  EXPECT_EQ(trained_paths(*model),
            (std::set<std::string>{"embed_tokens.weight", "norm.weight", "lm_head.weight"}));
  EXPECT_EQ(make_optimizer("adamw", trained_parameters(*model), {})->state().size(), 6u);
}

TEST(Freeze, ExceptLeavesAPartToBeTrained) {
  const auto model = martlet::testing::random_llama(6);
  freeze(model, "**", "layers.1.attention");
  martlet::testing::require_gradients(*model);
  for (const std::string& path : trained_paths(*model))
    EXPECT_TRUE(path.starts_with("layers.1.attention.")) << path;
  EXPECT_EQ(trained_paths(*model).size(), 4u);
}

TEST(Freeze, ReachesWhatIsTiedAndCannotBeUndoneBySomebodyElse) {
  Json config = martlet::testing::small_llama_config();
  config.set("tie_word_embeddings", true);
  const auto model = martlet::testing::random_model(config, 5);
  freeze(model, "embed_tokens");
  nn::walk_parameters(*model, [](const std::string& path, nn::Parameter& parameter) {
    EXPECT_EQ(parameter.is_frozen(), path == "embed_tokens.weight" || path == "lm_head.weight") << path;
    if (!parameter.is_frozen()) return;
    EXPECT_THROW(parameter.require_gradient(), Error);
  });
}

TEST(Freeze, FrozenWeightsMayBeNarrowAndGradientsPassThroughThem) {
  const auto model = martlet::testing::random_llama(6);
  freeze(model, "layers.*.feed_forward");
  nn::RewriteRequest cast{"cast", {}};
  cast.arguments.set("pattern", "layers.*.feed_forward.*");
  nn::RewriteHistory history;
  nn::apply_rewrite(model, cast, kCatalogue, history);
  martlet::testing::require_gradients(*model);
  const auto gradients = martlet::testing::gradients_of(*model, kSequences);
  EXPECT_FALSE(gradients.contains("layers.0.feed_forward.up_proj.weight"));
  EXPECT_TRUE(gradients.contains("layers.0.attention.q_proj.weight"));
}

TEST(Freeze, RefusesPatternsThatNameNothing) {
  EXPECT_EQ(message_of(""), "freeze: it needs pattern=PATTERN, what to freeze");
  EXPECT_NE(message_of("layer.*").find("names no parameter"), std::string::npos);
  EXPECT_NE(message_of("layers.*", "lm_head").find("except lm_head names nothing"), std::string::npos);
}

}  // namespace
}  // namespace martlet::train
