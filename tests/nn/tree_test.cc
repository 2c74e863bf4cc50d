#include "nn/tree.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "nn/decoder.h"

namespace martlet::nn {
namespace {

std::shared_ptr<DecoderModel> small_model() {
  auto model = std::make_shared<DecoderModel>(ModelShape{16, 8, 2, 32, true}, DecoderOptions{});
  const auto table = std::make_shared<TableEmbedding>(16, 8);
  model->embed_tokens.set(table);
  for (int64_t layer = 0; layer < 2; ++layer)
    model->layers->push_back(std::make_shared<DecoderBlock>(
        std::make_shared<RmsNorm>(8, 1e-5),
        std::make_shared<Attention>(AttentionShape{8, 2, 1, 4}, nullptr,
                                    std::make_shared<SoftmaxAttention>(layer, ops::AttentionOptions{})),
        std::make_shared<RmsNorm>(8, 1e-5),
        std::make_shared<GatedFeedForward>(8, 12, ops::Unary::kSilu, false)));
  model->norm.set(std::make_shared<RmsNorm>(8, 1e-5));
  const auto head = std::make_shared<AffineLinear>(8, 16, false);
  head->weight.tie(table->weight);
  model->lm_head.set(head);
  return model;
}

TEST(Tree, PatternsNameModulesByStarBracesRangesAndDepth) {
  const ModulePtr root = small_model();
  EXPECT_EQ(find(root, "layers.*.attention.{q,v}_proj").size(), 4u);
  EXPECT_EQ(find(root, "layers.{1..7}.feed_forward.up_proj"),
            std::vector<std::string>{"layers.1.feed_forward.up_proj"});
  EXPECT_EQ(find(root, "**.*_proj").size(), 14u);
  EXPECT_EQ(find(root, "lm_head"), std::vector<std::string>{"lm_head"});
  EXPECT_TRUE(find(root, "layers.2").empty());
  EXPECT_THROW(find(root, "layers.{0"), Error);
}

TEST(Tree, AWrongPathNamesTheNearest) {
  const auto root = small_model();
  try {
    module_at(*root, "layers.1.attention.q_prj");
    FAIL() << "a path that is not there was found";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("layers.1.attention.q_proj"), std::string::npos) << error.what();
  }
}

TEST(Tree, AModuleIsReplacedByItsOwnRoleOnly) {
  const auto root = small_model();
  const auto other = std::make_shared<AffineLinear>(8, 8, true);
  replace(*root, "layers.0.attention.q_proj", other);
  EXPECT_EQ(module_at(*root, "layers.0.attention.q_proj"), other);
  EXPECT_THROW(replace(*root, "layers.0.attention.q_proj", std::make_shared<RmsNorm>(8, 1e-5)), Error);
  EXPECT_THROW(replace(*root, "norm", other), Error);
}

TEST(Tree, TiedParametersShareOneValueAndCountOnce) {
  const auto root = small_model();
  const int64_t block = 8 * 8 + 2 * 8 * 4 + 8 * 8 + 3 * 8 * 12 + 2 * 8;
  EXPECT_EQ(measure(*root).parameters, 16 * 8 + 2 * block + 8);
  const auto table = std::dynamic_pointer_cast<TableEmbedding>(module_at(*root, "embed_tokens"));
  const auto head = std::dynamic_pointer_cast<AffineLinear>(module_at(*root, "lm_head"));
  table->weight.set(Tensor::zeros({16, 8}, DType::kF32));
  EXPECT_TRUE(head->weight.weight().storage().shares_storage_with(table->weight.weight().storage()));
}

TEST(Parameter, RefusesAValueOfAnotherShape) {
  AffineLinear linear(3, 4, true);
  EXPECT_THROW(linear.weight.set(Tensor::zeros({3, 4}, DType::kF32)), Error);
  EXPECT_THROW(linear.bias->set(Tensor::zeros({3}, DType::kF32)), Error);
  EXPECT_FALSE(linear.weight.defined());
}

TEST(Batch, PositionsFollowEachSequencesOwnCache) {
  class Held final : public KvCache {
   public:
    ops::KeyValueTiles append(int64_t, ops::CacheFormat, const Tensor&, const Tensor&) override { return {}; }
    int64_t length() const override { return 5; }
  } cache;
  Batch batch;
  const std::vector<int32_t> ids = {7, 8, 9};
  batch.add(ids);
  batch.add(std::span(ids).first(2), &cache);
  EXPECT_EQ(std::vector<int32_t>(batch.positions().begin(), batch.positions().end()),
            (std::vector<int32_t>{0, 1, 2, 5, 6}));
  EXPECT_EQ(batch.begin(1), 3);
  EXPECT_EQ(batch.end(1), 5);
  EXPECT_EQ(batch.longest(), 7);
}

}  // namespace
}  // namespace martlet::nn
