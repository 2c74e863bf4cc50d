#include "eval/loss.h"

#include <cmath>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "infer/generate.h"
#include "models/open.h"
#include "nn/tree.h"
#include "support/random_model.h"
#include "tensor/allocator.h"

namespace martlet::eval {
namespace {

constexpr int kVocabulary = 97;

std::vector<int32_t> random_ids(size_t count, uint64_t seed) {
  const Philox random(seed);
  std::vector<int32_t> ids(count);
  for (size_t i = 0; i < count; ++i) ids[i] = static_cast<int32_t>(random.below(i, kVocabulary));
  return ids;
}

/// The definition: every window's scores whole, their log-softmax in double.
double defined_loss(nn::Model& model, const std::vector<std::vector<int32_t>>& texts, size_t width) {
  double sum = 0;
  int64_t count = 0;
  for (const std::vector<int32_t>& text : texts)
    for (size_t target = 1; target < text.size(); ++target) {
      const size_t begin = (target - 1) / width * width;
      const std::span<const int32_t> seen = std::span(text).subspan(begin, target - begin);
      const std::vector<float> rows = infer::all_logits(model, seen).to_vector<float>();
      const std::span<const float> last = std::span(rows).last(kVocabulary);
      double total = 0;
      for (const float score : last) total += std::exp(static_cast<double>(score));
      sum += std::log(total) - static_cast<double>(last[static_cast<size_t>(text[target])]);
      ++count;
    }
  return sum / static_cast<double>(count);
}

class Loss : public ::testing::Test {
 protected:
  Loss() : directory_(testing::small_llama_config(), 4), model_(models::open_model(directory_.path())) {}
  ~Loss() override {
    set_thread_count(0);
    clear_interrupt();
  }
  nn::Model& model() { return *model_.tree; }

  testing::ModelDirectory directory_;
  models::OpenModel model_;
};

TEST_F(Loss, IsTheMeanOfItsDefinitionForEveryWindow) {
  const std::vector<std::vector<int32_t>> texts = {
      random_ids(50, 1), random_ids(1, 2), random_ids(2, 3), random_ids(20, 4), {}};
  for (const int64_t window : {1, 7, 49, 50, 64}) {
    const TextLoss result = text_loss(model(), texts, {.window = window});
    EXPECT_EQ(result.tokens, 49 + 1 + 19);
    const double expected = defined_loss(model(), texts, static_cast<size_t>(window));
    EXPECT_NEAR(result.loss, expected, 1e-6 * expected) << "window " << window;
    EXPECT_EQ(result.perplexity(), std::exp(result.loss));
  }
}

TEST_F(Loss, AModelThatKnowsNothingHasTheLogarithmOfItsVocabulary) {
  nn::walk_parameters(model(), [](const std::string&, nn::Parameter& parameter) {
    const Tensor zeros = Tensor::zeros(parameter.shape(), DType::kF32);
    if (parameter.shape().rank() == 2)
      parameter.set(ops::Weight(zeros));
    else
      parameter.set(zeros);
  });
  const TextLoss result = text_loss(model(), std::vector<std::vector<int32_t>>{random_ids(200, 5)});
  EXPECT_NEAR(result.loss, std::log(kVocabulary), 1e-6);
  EXPECT_NEAR(result.perplexity(), kVocabulary, 1e-4);
}

TEST_F(Loss, HasTheSameBitsOnAnyNumberOfThreads) {
  std::vector<std::vector<int32_t>> texts;
  for (uint64_t seed = 0; seed < 40; ++seed) texts.push_back(random_ids(5 + seed * 7 % 60, seed));
  set_thread_count(1);
  const double alone = text_loss(model(), texts).loss;
  set_thread_count(2);
  EXPECT_EQ(text_loss(model(), texts).loss, alone);
}

TEST(LossMemory, ScoresOfALongWindowAreNeverWhole) {
  Json config = testing::small_llama_config();
  constexpr int64_t kWords = 20000, kTokens = 4096;
  config.set("vocab_size", kWords).set("hidden_size", 16).set("num_hidden_layers", 1);
  config.set("max_position_embeddings", kTokens);
  const testing::ModelDirectory directory(config, 6);
  const models::OpenModel model = models::open_model(directory.path());
  const std::vector<std::vector<int32_t>> texts = {random_ids(kTokens + 1, 7)};
  reset_memory_peaks(Device::kCpu);
  EXPECT_EQ(text_loss(*model.tree, texts).tokens, kTokens);
  const int64_t whole = kTokens * kWords * static_cast<int64_t>(sizeof(float));
  EXPECT_LT(total_memory_use(Device::kCpu).peak, whole / 3);
}

TEST_F(Loss, RefusesWhatCannotBeMeasured) {
  const auto code = [&](const std::vector<std::vector<int32_t>>& texts, int64_t window) {
    try {
      text_loss(model(), texts, {.window = window});
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kFailed;
  };
  EXPECT_EQ(code({{1}, {}}, 0), ErrorCode::kBadInput) << "no target";
  EXPECT_EQ(code({{1, kVocabulary}}, 0), ErrorCode::kBadInput) << "no such token";
  EXPECT_EQ(code({{1, -1}}, 0), ErrorCode::kBadInput) << "no such token";
  EXPECT_EQ(code({{1, 2}}, 65), ErrorCode::kUsage) << "longer than the context";
  request_interrupt();
  EXPECT_EQ(code({{1, 2}}, 0), ErrorCode::kInterrupted);
}

TEST(LossWindow, IsTheContextButBounded) {
  nn::ModelShape shape;
  EXPECT_EQ(window_of(shape, {}), kDefaultWindow) << "a model without a limit";
  shape.max_positions = 100;
  EXPECT_EQ(window_of(shape, {}), 100);
  shape.max_positions = 1 << 20;
  EXPECT_EQ(window_of(shape, {}), kDefaultWindow);
  EXPECT_EQ(window_of(shape, {.window = 1 << 20}), 1 << 20);
}

}  // namespace
}  // namespace martlet::eval
