#include "nn/probe.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

#include "nn/apply_rewrite.h"
#include "nn/layers.h"
#include "support/random_model.h"

namespace martlet::nn {
namespace {

constexpr const Rewrite* kCatalogue[] = {&kProbe};

Tensor logits_of(Model& model, const std::vector<int32_t>& ids) {
  Batch batch;
  batch.add(ids);
  return model.logits(model.hidden(batch));
}

RewriteRequest probe_of(std::string_view pattern) {
  RewriteRequest request{"probe", {}};
  request.arguments.set("pattern", pattern);
  return request;
}

TEST(Probe, LeavesEveryBitOfTheOutputWhateverItWatches) {
  const std::vector<int32_t> ids{1, 5, 9, 33};
  for (const std::string_view pattern : {"layers.*", "**", "embed_tokens", "**.core"}) {
    const auto plain = martlet::testing::random_llama(7);
    const auto probed = martlet::testing::random_llama(7);
    RewriteHistory history;
    apply_rewrite(probed, probe_of(pattern), kCatalogue, history);
    EXPECT_FALSE(history[0].changed.empty());
    EXPECT_EQ(logits_of(*plain, ids).to_vector<float>(), logits_of(*probed, ids).to_vector<float>())
        << pattern;
  }
}

TEST(Probe, ReportsTheStatisticsOfWhatPassed) {
  const auto model = martlet::testing::random_llama(8);
  RewriteHistory history;
  apply_rewrite(model, probe_of("embed_tokens"), kCatalogue, history);
  const std::vector<int32_t> ids{3, 96, 3};
  logits_of(*model, ids);
  const auto table = std::dynamic_pointer_cast<TableEmbedding>(TreeEditor(model).innermost("embed_tokens"));
  const std::vector<float> all = table->weight.tensor().to_vector<float>();
  std::vector<double> seen;
  for (const int32_t id : ids) seen.insert(seen.end(), all.begin() + 32 * id, all.begin() + 32 * (id + 1));
  const double mean = std::accumulate(seen.begin(), seen.end(), 0.0) / 96;
  const double square = std::inner_product(seen.begin(), seen.end(), seen.begin(), 0.0) / 96;
  const Json row = rewrite_reports(model, history).at("probe").array().at(0);
  EXPECT_EQ(row.at("path").string(), "embed_tokens");
  EXPECT_EQ(row.at("kind").string(), "TableEmbedding");
  EXPECT_EQ(row.at("elements").integer(), 96);
  EXPECT_NEAR(row.at("mean").real(), mean, 1e-9);
  EXPECT_NEAR(row.at("rms").real(), std::sqrt(square), 1e-9);
  EXPECT_NEAR(row.at("std").real(), std::sqrt(square - mean * mean), 1e-9);
  EXPECT_EQ(row.at("min").real(), *std::min_element(seen.begin(), seen.end()));
  EXPECT_EQ(row.at("max").real(), *std::max_element(seen.begin(), seen.end()));
  EXPECT_EQ(row.at("not_finite").real(), 0);
}

TEST(Probe, CountsWhatIsNotFiniteAndWhatIsZero) {
  const auto model = martlet::testing::random_llama(8);
  const auto table = std::dynamic_pointer_cast<TableEmbedding>(module_at(*model, "embed_tokens"));
  std::vector<float> values(97 * 32, 0.0f);
  values[0] = INFINITY;
  values[1] = NAN;
  values[2] = 4;
  table->weight.set(Tensor::from(values, {97, 32}));
  RewriteHistory history;
  apply_rewrite(model, probe_of("embed_tokens"), kCatalogue, history);
  Batch batch;
  batch.add(std::vector<int32_t>{0});
  dynamic_cast<Embedding&>(*module_at(*model, "embed_tokens")).forward(batch.ids());
  const Json row = rewrite_reports(model, history).at("probe").array().at(0);
  EXPECT_EQ(row.at("not_finite").real(), 2.0 / 32);
  EXPECT_EQ(row.at("zeros").real(), 29.0 / 32);
  EXPECT_EQ(row.at("max").real(), 4);
}

}  // namespace
}  // namespace martlet::nn
