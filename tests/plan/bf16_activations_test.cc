// That running a model with bf16 weights brings bf16_activations along, and what becomes of the mark.
#include <gtest/gtest.h>

#include "infer/stream.h"
#include "models/save.h"
#include "nn/tree.h"
#include "plan/benchmark.h"
#include "plan/kept_folder.h"
#include "plan/run_plan.h"
#include "support/random_model.h"

namespace martlet::plan {
namespace {

using models::OpenModel;
using models::OpenOptions;

constexpr int64_t kLayers = 6, kMatricesOfALayer = 7;

class BringsBF16Test : public ::testing::Test, public KeptFolder {
 protected:
  static Json config() {
    Json config = martlet::testing::small_llama_config();
    config.set("hidden_size", 128).set("intermediate_size", 192).set("num_hidden_layers", kLayers);
    return config.set("head_dim", 32);
  }

  /// The model with matrices of that type.
  std::string saved(const std::string& dtype) {
    OpenModel model = models::open_model(source_.path());
    models::rewrite(model, {"cast", Json().set("to", dtype)}, rewrites());
    models::save_model(model, folder_ / dtype);
    return folder_ / dtype;
  }

  OpenOptions running() const {
    OpenOptions options = KeptFolder::options();
    options.rewrites_of_bf16 = {"bf16_activations"};
    return options;
  }

  martlet::testing::ModelDirectory source_{config(), 5};
};

int64_t marked(const OpenModel& model) {
  int64_t count = 0;
  nn::walk_parameters(*model.tree, [&](const std::string&, nn::Parameter& parameter) {
    count += parameter.shape().rank() == 2 && parameter.weight().takes_bf16() ? 1 : 0;
  });
  return count;
}

int64_t times_applied(const OpenModel& model) {
  return std::count_if(model.rewrites.begin(), model.rewrites.end(), [](const nn::AppliedRewrite& each) {
    return each.rewrite->name == "bf16_activations";
  });
}

TEST_F(BringsBF16Test, MarksLayersOfBF16ButNotTheHead) {
  const OpenModel model = models::open_model(saved("bf16"), running());
  EXPECT_EQ(marked(model), kLayers * kMatricesOfALayer);
  EXPECT_EQ(times_applied(model), 1);
}

TEST_F(BringsBF16Test, IsLeftOutWhereItIsToBeOrHasNothingToDo) {
  OpenOptions options = running();
  options.skip = {"bf16_activations"};
  EXPECT_EQ(marked(models::open_model(saved("bf16"), options)), 0);
  EXPECT_EQ(times_applied(models::open_model(saved("f32"), running())), 0);
}

TEST_F(BringsBF16Test, IsAppliedOnceWhereItIsAskedFor) {
  OpenOptions options = running();
  options.rewrites = {{"bf16_activations", Json().set("pattern", "layers.1.**")}};
  const OpenModel model = models::open_model(saved("bf16"), options);
  EXPECT_EQ(times_applied(model), 1);
  EXPECT_EQ(marked(model), kMatricesOfALayer);
}

TEST_F(BringsBF16Test, BlocksThatStreamRoundAsThoseThatAreHeld) {
  const std::string path = saved("bf16");
  const std::vector<float> held = logits_of(models::open_model(path, running()));
  for (const int64_t resident : {500 << 10, 800 << 10, 4 << 20}) {
    OpenOptions asked = running();
    asked.rewrites = {{"stream", Json().set("resident", resident)}};
    OpenModel model = models::open_model(path, asked);
    EXPECT_EQ(logits_of(model), held) << resident << " bytes held, asked for";
    EXPECT_EQ(logits_of(model), held) << "a second time";
    EXPECT_EQ(marked(model), kLayers * kMatricesOfALayer);
    EXPECT_EQ(infer::stream_of(model.tree) != nullptr, resident < (1 << 20));
  }
}

TEST_F(BringsBF16Test, NamingItKeepsTheWeightCacheOfPackedWeights) {
  OpenModel model = models::open_model(source_.path());
  models::rewrite(model, {"quantize", Json().set("to", "q4_0")}, rewrites());
  models::save_model(model, folder_ / "packed");
  OpenOptions options = running();
  options.rewrites = {{"bf16_activations"}};
  models::open_model(folder_ / "packed", options);
  EXPECT_EQ(cache_files().size(), 1u);
}

TEST_F(BringsBF16Test, ItsProductsAreMeasuredAndCountedAsTheyRun) {
  OpenModel model = models::open_model(saved("bf16"), running());
  const std::vector<std::string> types = weight_types(*model.tree);
  EXPECT_NE(std::find(types.begin(), types.end(), "bf16 x bf16"), types.end());
  // Whatever this machine has: no limit is infinite or nothing.
  const double least = least_seconds(model.tree, ops::cpu::measure_limits(), 16, 0, 1);
  EXPECT_GT(least, 0);
  EXPECT_LT(least, 1);
}

}  // namespace
}  // namespace martlet::plan
