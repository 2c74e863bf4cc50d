// Whole models on the tape: what must not change a bit of their gradients. That the gradients are right is
// tests/oracle/test_gradients.py's matter.

#include <cmath>
#include <gtest/gtest.h>
#include <map>

#include "autograd/backward.h"
#include "autograd/recompute.h"
#include "base/thread_pool.h"
#include "models/open.h"
#include "nn/decoder.h"
#include "nn/tree.h"
#include "ops/cross_entropy.h"
#include "support/random_model.h"

namespace martlet::models {
namespace {

/// A block whose activations are computed again in the backward.
class RecomputedBlock final : public nn::Block {
 public:
  explicit RecomputedBlock(std::shared_ptr<nn::Block> block) : inner(*this, "inner", std::move(block)) {}
  std::string_view kind() const override { return "RecomputedBlock"; }
  Tensor forward(Tensor x, const nn::Batch& batch) override {
    return autograd::recompute(
        [this, &batch](const std::vector<Tensor>& in) { return inner->forward(in[0], batch); }, {x});
  }

  nn::Child<nn::Block> inner;
};

class ModelGradient : public ::testing::Test {
 protected:
  ~ModelGradient() override { set_thread_count(0); }

  /// The model with every parameter on the tape.
  std::shared_ptr<nn::Model> open() const {
    std::shared_ptr<nn::Model> tree = open_model(directory_.path()).tree;
    nn::walk_parameters(*tree, [](const std::string&, nn::Parameter& parameter) {
      if (!parameter.requires_gradient()) parameter.require_gradient();
    });
    return tree;
  }

  /// Gradients by path, of ids that each predict the next.
  static std::map<std::string, std::vector<float>> gradients(
      nn::Model& model, const std::vector<std::vector<int32_t>>& sequences) {
    nn::Batch batch;
    std::vector<int64_t> targets;
    for (const std::vector<int32_t>& ids : sequences) {
      batch.add(std::span(ids).first(ids.size() - 1));
      targets.insert(targets.end(), ids.begin() + 1, ids.end());
    }
    {
      const Tensor loss = ops::cross_entropy(model.logits(model.hidden(batch)),
                                             Tensor::from(targets, {static_cast<int64_t>(targets.size())}),
                                             ops::LossReduction::kSum);
      autograd::backward(loss);
    }
    EXPECT_EQ(autograd::waiting_backwards(), 0);
    std::map<std::string, std::vector<float>> result;
    nn::walk_parameters(model, [&](const std::string& path, nn::Parameter& parameter) {
      std::string plain = path;
      if (const size_t at = plain.find(".inner"); at != std::string::npos) plain.erase(at, 6);
      result[plain] = parameter.gradient().to_vector<float>();
    });
    nn::walk_parameters(model,
                        [](const std::string&, nn::Parameter& parameter) { parameter.clear_gradient(); });
    return result;
  }

  testing::ModelDirectory directory_{testing::small_llama_config(), 5};
  std::vector<std::vector<int32_t>> sequences_ = {{3, 5, 8, 13, 21, 34, 55}, {2, 4}, {1, 90, 80, 70, 60, 50}};
};

TEST_F(ModelGradient, HasTheSameBitsWhateverTheThreads) {
  const auto model = open();
  set_thread_count(1);
  const auto one = gradients(*model, sequences_);
  set_thread_count(2);
  EXPECT_EQ(gradients(*model, sequences_), one);
  EXPECT_GT(one.size(), 10u);
}

TEST_F(ModelGradient, HasTheSameBitsWhenBlocksAreComputedAgain) {
  const auto model = open();
  const auto plain = gradients(*model, sequences_);
  auto& decoder = dynamic_cast<nn::DecoderModel&>(*model);
  for (nn::Slot* slot : decoder.layers->children()) {
    auto block = std::dynamic_pointer_cast<nn::Block>(slot->module());
    slot->replace(std::make_shared<RecomputedBlock>(block));
  }
  EXPECT_EQ(gradients(*model, sequences_), plain);
}

TEST_F(ModelGradient, OfAPackedBatchIsTheSumOverItsSequences) {
  const auto model = open();
  const auto together = gradients(*model, sequences_);
  std::map<std::string, std::vector<float>> sum;
  for (const std::vector<int32_t>& ids : sequences_)
    for (const auto& [path, values] : gradients(*model, {ids})) {
      std::vector<float>& total = sum[path];
      total.resize(values.size());
      for (size_t i = 0; i < values.size(); ++i) total[i] += values[i];
    }
  for (const auto& [path, values] : together) {
    float largest = 0;
    for (const float value : values) largest = std::max(largest, std::fabs(value));
    for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], sum[path][i], 1e-5f * largest) << path;
  }
}

}  // namespace
}  // namespace martlet::models
