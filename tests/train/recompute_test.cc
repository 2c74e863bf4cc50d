#include "train/recompute.h"

#include <gtest/gtest.h>

#include "autograd/node.h"
#include "base/thread_pool.h"
#include "nn/apply_rewrite.h"
#include "support/gradients.h"
#include "support/random_model.h"
#include "train/trainer.h"

namespace martlet::train {
namespace {

constexpr const nn::Rewrite* kCatalogue[] = {&kRecompute};
const std::vector<std::vector<int32_t>> kSequences = {{3, 5, 8, 13, 21, 34, 55}, {2, 4}, {1, 90, 80, 70, 60}};

nn::RewriteHistory recompute(const nn::ModulePtr& model, std::string_view pattern) {
  nn::RewriteRequest request{"recompute", {}};
  request.arguments.set("pattern", pattern);
  nn::RewriteHistory history;
  nn::apply_rewrite(model, request, kCatalogue, history);
  return history;
}

std::string message_of(const nn::ModulePtr& model, std::string_view pattern) {
  try {
    recompute(model, pattern);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

class Recompute : public ::testing::Test {
 protected:
  ~Recompute() override { set_thread_count(0); }
};

TEST_F(Recompute, LeavesEveryBitOfEveryGradientInEveryFamily) {
  for (const auto& [name, config] : martlet::testing::family_configs()) {
    const auto plain = martlet::testing::random_model(config, 5);
    martlet::testing::require_gradients(*plain);
    const auto expected = martlet::testing::gradients_of(*plain, kSequences);
    EXPECT_GT(expected.size(), 10u);
    for (const std::string_view pattern :
         {"layers.*", "layers.1", "layers.*.attention", "layers.*.attention.core", "layers.*.feed_forward",
          "layers.*.{attention,feed_forward}"}) {
      const auto model = martlet::testing::random_model(config, 5);
      const nn::RewriteHistory history = recompute(model, pattern);
      EXPECT_FALSE(history[0].changed.empty());
      martlet::testing::require_gradients(*model);
      EXPECT_EQ(martlet::testing::gradients_of(*model, kSequences), expected) << name << ", " << pattern;
      EXPECT_EQ(autograd::waiting_backwards(), 0);
    }
  }
}

TEST_F(Recompute, WithinItselfAndWithOneThreadHasTheSameBitsToo) {
  const auto plain = martlet::testing::random_llama(6);
  martlet::testing::require_gradients(*plain);
  const auto expected = martlet::testing::gradients_of(*plain, kSequences);
  const auto model = martlet::testing::random_llama(6);
  recompute(model, "layers.*.attention.core");
  recompute(model, "layers.*.attention");
  recompute(model, "layers.*");
  martlet::testing::require_gradients(*model);
  set_thread_count(1);
  EXPECT_EQ(martlet::testing::gradients_of(*model, kSequences), expected);
}

/// What the tape holds after a forward.
int64_t kept_bytes(nn::Model& model) {
  const auto held = [] { return memory_use(Device::kCpu)[static_cast<size_t>(Owner::kActivations)].now; };
  nn::Batch batch;
  batch.add(std::vector<int32_t>(48, 7));
  const int64_t before = held();
  const Tensor hidden = model.hidden(batch);
  return held() - before;
}

TEST_F(Recompute, KeepsOneInputALayerAndNothingElse) {
  Json config = martlet::testing::small_llama_config();
  config.set("num_hidden_layers", 24);
  const auto plain = martlet::testing::random_model(config, 5),
             model = martlet::testing::random_model(config, 5);
  martlet::testing::require_gradients(*plain);
  martlet::testing::require_gradients(*model);
  recompute(model, "layers.*");
  // [48, 32] f32: 24 inputs of blocks, one of the last norm, its output; and the rotary tables.
  const int64_t kept = kept_bytes(*model);
  EXPECT_GE(kept, 24 * 48 * 32 * 4);
  EXPECT_LE(kept, 28 * 48 * 32 * 4);
  EXPECT_GT(kept_bytes(*plain), 8 * kept);
}

TEST_F(Recompute, OutlivesTheBatchOfTheForward) {
  data::TrainingBatch batch;
  batch.ids = {1, 2, 3, 4, 5, 6};
  batch.targets = {2, 3, 4, 5, 6, 7};
  batch.starts = {0, 4, 6};
  batch.target_count = 6;
  const auto plain = martlet::testing::random_llama(6), model = martlet::testing::random_llama(6);
  recompute(model, "layers.*");
  std::vector<float> gradients[2];
  for (const auto& each : {plain, model}) {
    martlet::testing::require_gradients(*each);
    loss_of(*each, batch, 1);
    gradients[each == model] = trained_parameters(*each).front().parameter->gradient().to_vector<float>();
  }
  EXPECT_EQ(gradients[0], gradients[1]);
}

TEST_F(Recompute, RefusesWhatItCannotComputeAgain) {
  const auto model = martlet::testing::random_llama(6);
  EXPECT_EQ(
      message_of(model, "embed_tokens"),
      "recompute: embed_tokens is a TableEmbedding; what can be computed again are blocks, attention, its "
      "cores and feed-forwards");
  EXPECT_NE(message_of(model, "layer.*").find("matches no module"), std::string::npos);
}

}  // namespace
}  // namespace martlet::train
