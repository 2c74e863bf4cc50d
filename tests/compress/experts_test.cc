// Sparse experts under the rewrites of this room: packed, with int8 activations, decomposed, measured.

#include <cmath>
#include <gtest/gtest.h>

#include "base/temporary_folder.h"
#include "compress/importance.h"
#include "compress/int8_activations.h"
#include "compress/low_rank.h"
#include "compress/quantize.h"
#include "nn/apply_rewrite.h"
#include "nn/tree.h"
#include "support/random_model.h"

namespace martlet::compress {
namespace {

Json mixtral_config() {
  return martlet::testing::small_llama_config()
      .set("model_type", "mixtral")
      .set("intermediate_size", 64)
      .set("num_local_experts", 6)
      .set("num_experts_per_tok", 2);
}

constexpr const nn::Rewrite* kAll[] = {&kQuantize, &kInt8Activations, &kLowRank};

std::shared_ptr<nn::Model> rewritten(const std::vector<nn::RewriteRequest>& requests) {
  std::shared_ptr<nn::Model> model = martlet::testing::random_model(mixtral_config(), 1);
  nn::RewriteHistory history;
  for (const nn::RewriteRequest& request : requests) nn::apply_rewrite(model, request, kAll, history);
  return model;
}

nn::RewriteRequest request(std::string name, std::string_view arguments) {
  return {std::move(name), Json::parse(arguments, "test")};
}

std::vector<float> logits(nn::Model& model, const std::vector<std::vector<int32_t>>& sequences) {
  nn::Batch batch;
  for (const std::vector<int32_t>& ids : sequences) batch.add(ids);
  return model.logits(model.hidden(batch)).to_vector<float>();
}

const std::vector<std::vector<int32_t>> kTexts = {{3, 17, 41, 5, 60, 2, 33}, {9}, {8, 8, 8, 90, 12}};

/// The largest difference, as a part of the largest of `b`.
double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double most = 0, largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    most = std::max(most, std::fabs(double{a[i]} - b[i]));
    largest = std::max(largest, std::fabs(double{b[i]}));
  }
  return most / largest;
}

TEST(ExpertRewrites, PackedOnesWithInt8ActivationsGiveNearlyTheSameAndTheSameBitsInAnyBatch) {
  const std::vector<float> plain = logits(*rewritten({}), kTexts);
  const auto packed =
      rewritten({request("quantize", R"({"to": "q8_0"})"), request("int8_activations", "{}")});
  const std::vector<float> got = logits(*packed, kTexts);
  EXPECT_LT(difference(got, plain), 0.1);
  EXPECT_NE(got, plain);
  std::vector<float> alone;
  for (const std::vector<int32_t>& ids : kTexts)
    for (const float value : logits(*packed, {ids})) alone.push_back(value);
  EXPECT_EQ(alone, got);
  int interleaved = 0;
  nn::walk_parameters(*packed, [&](const std::string& path, nn::Parameter& parameter) {
    if (path.find(".experts.") != std::string::npos) interleaved += parameter.weight().is_interleaved();
    if (path.ends_with(".router.weight")) {
      EXPECT_EQ(parameter.type_name(), "f32") << path;
    }
  });
  EXPECT_EQ(interleaved, 2 * 6 * 3);
}

TEST(ExpertRewrites, PatternsReachEveryExpert) {
  const std::vector<float> plain = logits(*rewritten({}), kTexts);
  const auto model = rewritten({request(
      "low_rank", R"({"pattern": "layers.*.feed_forward.experts.{1..3}.{gate,up}_proj", "rank": 32})")});
  int decomposed = 0;
  nn::walk(model, [&](const std::string&, const nn::ModulePtr& module) {
    decomposed += module->kind() == "LowRankLinear";
  });
  EXPECT_EQ(decomposed, 2 * 3 * 2);
  EXPECT_LT(difference(logits(*model, kTexts), plain), 1e-4);  // of full rank
}

TEST(ExpertRewrites, ImportanceOfEachExpertComesBackFromItsFile) {
  const TemporaryFolder folder;
  models::OpenModel model;
  model.tree = rewritten({});
  model.family = &models::family_named("mixtral");
  model.config = mixtral_config();
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 64; ++i) ids.push_back(i * 7 % 97);
  const Importance importance = gather_importance(*model.tree, ids, {.window = 32});
  const auto& first = importance.columns.at("layers.1.feed_forward.experts.1.up_proj.weight");
  const auto& second = importance.columns.at("layers.1.feed_forward.experts.2.up_proj.weight");
  EXPECT_NE(first, second);
  write_importance(importance, *model.family, folder / "i.gguf");
  const Importance back = read_importance(folder / "i.gguf", model);
  ASSERT_EQ(back.columns.size(), importance.columns.size());
  for (const auto& [path, columns] : importance.columns) {
    ASSERT_EQ(back.columns.at(path).size(), columns.size()) << path;
    for (size_t i = 0; i < columns.size(); ++i)
      EXPECT_NEAR(back.columns.at(path)[i], columns[i], 1e-6 * columns[i]) << path;
  }
}

}  // namespace
}  // namespace martlet::compress
