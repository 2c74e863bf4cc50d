#include "models/loader.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "models/open.h"
#include "nn/tree.h"
#include "support/random_model.h"

namespace martlet::models {
namespace {

std::string refusal(const std::string& path) {
  try {
    open_model(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "it was opened";
}

TEST(Loader, EveryParameterOfAWholeDirectoryHasItsValue) {
  const testing::ModelDirectory directory(testing::small_llama_config(), 1);
  const OpenModel model = open_model(directory.path());
  nn::walk_parameters(*model.tree, [](const std::string& path, nn::Parameter& parameter) {
    EXPECT_TRUE(parameter.defined()) << path;
  });
}

TEST(Loader, NamesThatAreMissingAreListed) {
  const testing::ModelDirectory directory(testing::small_llama_config(), 2);
  directory.write_config(testing::small_llama_config().set("num_hidden_layers", 3));
  const std::string message = refusal(directory.path());
  EXPECT_NE(message.find("9 missing"), std::string::npos) << message;
  EXPECT_NE(message.find("model.layers.2.self_attn.q_proj.weight"), std::string::npos) << message;
}

TEST(Loader, NamesWithoutAPlaceAreListed) {
  const testing::ModelDirectory directory(testing::small_llama_config(), 3);
  directory.write_config(testing::small_llama_config().set("num_hidden_layers", 1));
  const std::string message = refusal(directory.path());
  EXPECT_NE(message.find("9 that the model has no place for"), std::string::npos) << message;
}

TEST(Loader, ShapesThatContradictTheConfigAreListedWithBoth) {
  const testing::ModelDirectory directory(testing::small_llama_config(), 4);
  directory.write_config(testing::small_llama_config().set("intermediate_size", 40));
  const std::string message = refusal(directory.path());
  EXPECT_NE(message.find("6 of the wrong shape"), std::string::npos) << message;
  EXPECT_NE(message.find("[48, 32]"), std::string::npos) << message;
  EXPECT_NE(message.find("[40, 32]"), std::string::npos) << message;
}

TEST(Family, AnUnknownOneIsNamedWithThoseSupported) {
  EXPECT_THROW(family_named("nosuch"), Error);
  EXPECT_EQ(family_named("qwen3").name, "qwen3");
}

}  // namespace
}  // namespace martlet::models
