#include "infer/embed.h"

#include <cmath>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "models/open.h"
#include "support/random_model.h"

namespace martlet::infer {
namespace {

Json bert_config() {
  return Json::parse(R"({"model_type": "bert", "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 40})",
                     "config");
}

class Embed : public ::testing::Test {
 protected:
  Embed() : directory_(bert_config(), 9), model_(models::open_model(directory_.path())) {
    const Philox random(3);
    uint64_t draw = 0;
    texts_.resize(7);
    for (std::vector<int32_t>& text : texts_) {
      text.resize(1 + random.below(draw++, 39));
      for (int32_t& id : text) id = static_cast<int32_t>(random.below(draw++, 97));
    }
  }
  ~Embed() override { set_thread_count(0); }

  /// [tokens, 32] of one text alone.
  std::vector<float> hidden(const std::vector<int32_t>& text) {
    nn::Batch batch;
    batch.add(text);
    return model_.tree->hidden(batch).to_vector<float>();
  }
  std::vector<float> embedded(const EmbedOptions& options) {
    return embed(*model_.tree, texts_, options).to_vector<float>();
  }

  testing::ModelDirectory directory_;
  models::OpenModel model_;
  std::vector<std::vector<int32_t>> texts_;
};

TEST_F(Embed, IsTheMeanOrTheFirstOfTheHiddenStates) {
  const std::vector<float> means = embedded({}), firsts = embedded({.pooling = Pooling::kFirst});
  for (size_t i = 0; i < texts_.size(); ++i) {
    const std::vector<float> rows = hidden(texts_[i]);
    for (size_t column = 0; column < 32; ++column) {
      double sum = 0;
      for (size_t token = 0; token < texts_[i].size(); ++token)
        sum += static_cast<double>(rows[token * 32 + column]);
      EXPECT_NEAR(means[i * 32 + column], sum / static_cast<double>(texts_[i].size()), 1e-5);
      EXPECT_EQ(firsts[i * 32 + column], rows[column]);
    }
  }
}

TEST_F(Embed, NormalizedRowsHaveLengthOneAndTheSameDirection) {
  const std::vector<float> plain = embedded({}), unit = embedded({.normalize = true});
  for (size_t row = 0; row < texts_.size(); ++row) {
    double length = 0, cross = 0, square = 0;
    for (size_t i = row * 32; i < (row + 1) * 32; ++i) {
      const double p = static_cast<double>(plain[i]), u = static_cast<double>(unit[i]);
      length += u * u, cross += p * u, square += p * p;
    }
    EXPECT_NEAR(length, 1, 1e-6);
    EXPECT_NEAR(cross, std::sqrt(square), 1e-5 * std::sqrt(square));
  }
}

TEST_F(Embed, ARowDoesNotDependOnItsNeighboursOrThreads) {
  const std::vector<float> together = embedded({.batch = 7});
  set_thread_count(1);
  EXPECT_EQ(embedded({.batch = 1}), together);
  EXPECT_EQ(embedded({.batch = 3}), together);
}

TEST_F(Embed, RefusesWhatHasNoEmbedding) {
  const auto refused = [&](const std::vector<int32_t>& text) {
    EXPECT_THROW(embed(*model_.tree, std::span(&text, 1)), Error);
  };
  refused({});
  refused({97});
  refused(std::vector<int32_t>(41, 1));
  EXPECT_EQ(embed(*model_.tree, {}).shape(), Shape({0, 32}));
}

}  // namespace
}  // namespace martlet::infer
