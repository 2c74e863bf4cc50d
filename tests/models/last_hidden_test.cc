// Reading a prompt, a model computes of its last layer what the next token's scores need, and no more.

#include <gtest/gtest.h>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "infer/kv_cache.h"
#include "nn/apply_rewrite.h"
#include "nn/probe.h"
#include "support/gradients.h"
#include "support/random_model.h"

namespace martlet::models {
namespace {

/// Sequences that each are read in two pieces.
struct Reading {
  std::vector<std::vector<int32_t>> first, second;
};

Reading drawn_reading(const Philox& random, uint64_t& draw, const nn::ModelShape& shape) {
  Reading reading;
  const auto ids = [&] {
    std::vector<int32_t> piece(1 + random.below(draw++, 30));
    for (int32_t& id : piece)
      id = static_cast<int32_t>(random.below(draw++, static_cast<uint64_t>(shape.vocabulary_size)));
    return piece;
  };
  const uint64_t sequences = 1 + random.below(draw++, 4);
  for (uint64_t i = 0; i < sequences; ++i) {
    reading.first.push_back(ids());
    reading.second.push_back(ids());
  }
  return reading;
}

nn::Batch batch_of(const std::vector<std::vector<int32_t>>& pieces,
                   std::vector<infer::GrowingKvCache>& caches) {
  nn::Batch batch;
  for (size_t i = 0; i < pieces.size(); ++i) batch.add(pieces[i], &caches[i]);
  return batch;
}

TEST(LastHidden, HasTheBitsOfAllRowsAndLeavesTheSameCachesInEveryFamily) {
  const Philox random(21);
  uint64_t draw = 0;
  for (const auto& [name, config] : martlet::testing::family_configs()) {
    const auto model = martlet::testing::random_model(config, 5);
    if (!model->shape().generates) continue;
    for (int round = 0; round < 4; ++round) {
      const Reading reading = drawn_reading(random, draw, model->shape());
      const infer::GrowingKvCache empty(model->shape().layers, model->shape().lead_positions);
      std::vector<infer::GrowingKvCache> of_last(reading.first.size(), empty), of_all = of_last;
      for (const auto* pieces : {&reading.first, &reading.second}) {
        const nn::Batch all = batch_of(*pieces, of_all);
        const std::vector<float> expected = nn::last_rows(model->hidden(all), all).to_vector<float>();
        EXPECT_EQ(model->last_hidden(batch_of(*pieces, of_last)).to_vector<float>(), expected)
            << name << ", round " << round;
      }
      for (size_t i = 0; i < of_last.size(); ++i) EXPECT_EQ(of_last[i].length(), of_all[i].length());
    }
  }
}

TEST(LastHidden, WithoutCachesHasTheSameBits) {
  const Philox random(22);
  uint64_t draw = 0;
  const auto model = martlet::testing::random_llama(5);
  for (int round = 0; round < 8; ++round) {
    nn::Batch batch;
    for (const std::vector<int32_t>& ids : drawn_reading(random, draw, model->shape()).first) batch.add(ids);
    EXPECT_EQ(model->last_hidden(batch).to_vector<float>(),
              nn::last_rows(model->hidden(batch), batch).to_vector<float>());
  }
}

TEST(LastHidden, IsNotRecordedForABackward) {
  const auto model = martlet::testing::random_llama(5);
  martlet::testing::require_gradients(*model);
  for (const std::vector<int32_t>& ids : {std::vector<int32_t>{1, 2, 3}, {4}}) {
    nn::Batch batch;
    batch.add(ids);
    EXPECT_NE(model->hidden(batch).node(), nullptr);
    EXPECT_EQ(model->last_hidden(batch).node(), nullptr);
  }
}

TEST(LastHidden, ASequenceWithoutTokensIsRefused) {
  const auto model = martlet::testing::random_llama(5);
  for (const std::vector<std::vector<int32_t>>& sequences :
       {std::vector<std::vector<int32_t>>{{1, 2}, {}}, {{}, {1, 2, 3}}, {{1, 2}, {}, {3, 4, 5}}}) {
    nn::Batch batch;
    for (const std::vector<int32_t>& ids : sequences) batch.add(ids);
    EXPECT_THROW(model->last_hidden(batch), Error);
  }
}

TEST(LastHidden, TheLastBlockComputesLastTokensAlone) {
  constexpr const nn::Rewrite* kCatalogue[] = {&nn::kProbe};
  const auto model = martlet::testing::random_llama(5);
  nn::RewriteHistory history;
  for (const std::string_view pattern : {"layers.*.feed_forward", "layers.*.attention.{core,k_proj}"}) {
    nn::RewriteRequest request{"probe", {}};
    request.arguments.set("pattern", pattern);
    nn::apply_rewrite(model, request, kCatalogue, history);
  }
  nn::Batch batch;
  batch.add(std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7});
  batch.add(std::vector<int32_t>{8, 9, 10});
  model->last_hidden(batch);
  std::map<std::string, int64_t> elements;
  const Json reports = nn::rewrite_reports(model, history);
  for (const Json& row : reports.at("probe").array())
    elements[row.at("path").string()] = row.at("elements").integer();
  EXPECT_EQ(elements["layers.0.feed_forward"], 10 * 32);
  EXPECT_EQ(elements["layers.1.feed_forward"], 2 * 32);
  EXPECT_EQ(elements["layers.0.attention.core"], 10 * 32);
  EXPECT_EQ(elements["layers.1.attention.core"], 2 * 32);
  EXPECT_EQ(elements["layers.1.attention.k_proj"], 10 * 16);
}

}  // namespace
}  // namespace martlet::models
