// CPM-Ant and CPM-Bee without a peer (tests/oracle/test_models.py has the peers): the prompt in front of
// every sequence, what configs may not say.

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "infer/generate.h"
#include "infer/prompt_cache.h"
#include "models/cpm_tree.h"
#include "models/open.h"
#include "nn/tree.h"
#include "support/random_model.h"

namespace martlet::models {
namespace {

using ::testing::HasSubstr;

Json ant_config() {
  return Json::parse(R"({"model_type": "cpmant", "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 4, "dim_head": 8, "dim_ff": 48, "position_bias_num_buckets": 16,
    "position_bias_max_distance": 32, "prompt_types": 3, "prompt_length": 5, "segment_types": 3})",
                     "config");
}

Json bee_config() {
  return Json::parse(R"({"model_type": "cpmbee", "vocab_size": 97, "dim_model": 32, "num_layers": 2,
    "num_heads": 4, "dim_head": 8, "dim_ff": 48, "position_bias_num_buckets": 16,
    "position_bias_num_segment_buckets": 4, "position_bias_max_distance": 32})",
                     "config");
}

std::vector<int32_t> text_of(size_t length, int32_t seed) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < length; ++i)
    ids.push_back(static_cast<int32_t>((i * 31 + static_cast<size_t>(seed)) % 96 + 1));
  return ids;
}

std::vector<float> logits(nn::Model& model, const nn::Batch& batch) {
  return model.logits(model.hidden(batch)).to_vector<float>();
}

class Cpm : public ::testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<nn::Model> model_ =
      testing::random_model(std::string_view(GetParam()) == "cpmant" ? ant_config() : bee_config(), 1);
};

TEST_P(Cpm, ATextReadInPiecesBesideOthersHasTheBitsOfOneReadAlone) {
  const std::vector<int32_t> ids = text_of(40, 3);
  nn::Batch whole;
  whole.add(ids);
  const std::vector<float> expected = logits(*model_, whole);
  const nn::ModelShape& shape = model_->shape();
  infer::GrowingKvCache cache(shape.layers, shape.lead_positions);
  infer::GrowingKvCache other(shape.layers, shape.lead_positions);
  std::vector<float> got;
  size_t done = 0;
  for (const size_t now : {7, 1, 1, 20, 11}) {
    nn::Batch piece;
    piece.add(text_of(done == 8 ? 9 : 1, 50), &other);  // it begins here, or goes on
    piece.add(std::span(ids).subspan(done, now), &cache);
    const Tensor hidden = model_->hidden(piece);
    ASSERT_EQ(hidden.dim(0), piece.token_count());
    const std::vector<float> rows =
        model_->logits(hidden.slice(0, piece.begin(1), piece.end(1))).to_vector<float>();
    got.insert(got.end(), rows.begin(), rows.end());
    done += now;
    EXPECT_EQ(cache.length(), static_cast<int64_t>(done));
    if (done == 8) other.truncate(0);
  }
  EXPECT_EQ(got, expected);
}

TEST_P(Cpm, AReplyIsTheSameAfterForgettingAndAfterACopiedBeginning) {
  const std::vector<std::vector<int32_t>> prompts = {text_of(30, 3), text_of(30, 3), text_of(12, 9)};
  const infer::GenerationOptions options{.max_new_tokens = 8};
  const auto together = infer::generate(*model_, prompts, options);
  EXPECT_EQ(together[0].ids, together[1].ids);
  const auto alone = infer::generate(*model_, std::span(prompts).last(1), options);
  EXPECT_EQ(together[2].ids, alone[0].ids);
  infer::ReadContext context(model_->shape().layers, model_->shape().lead_positions);
  infer::generate_on(*model_, context, prompts[0], options);
  EXPECT_EQ(infer::generate_on(*model_, context, prompts[2], options).ids, alone[0].ids);
  EXPECT_EQ(infer::generate_on(*model_, context, prompts[0], options).ids, together[0].ids);
}

TEST_P(Cpm, AKeptPromptGivesTheSameReply) {
  const std::string folder =
      std::filesystem::temp_directory_path() / fmt::format("martlet-cpm-{}", GetParam());
  std::filesystem::remove_all(folder);
  const infer::PromptCache kept(folder, "reader", 1 << 30);
  const std::vector<std::vector<int32_t>> prompts = {text_of(60, 3)};
  infer::GenerationOptions options{.max_new_tokens = 8};
  const auto plain = infer::generate(*model_, prompts, options);
  options.prompt_cache = &kept;
  EXPECT_EQ(infer::generate(*model_, prompts, options)[0].ids, plain[0].ids);
  EXPECT_FALSE(std::filesystem::is_empty(folder));
  EXPECT_EQ(infer::generate(*model_, prompts, options)[0].ids, plain[0].ids);
  std::filesystem::remove_all(folder);
}
INSTANTIATE_TEST_SUITE_P(Families, Cpm, ::testing::Values("cpmant", "cpmbee"));

TEST(CpmTree, DistancesNearAreExactAndFarOnesLogarithmic) {
  EXPECT_EQ(distance_bucket(0, 32, 128), 0);
  EXPECT_EQ(distance_bucket(-7, 32, 128), 7);
  EXPECT_EQ(distance_bucket(7, 32, 128), 23);
  EXPECT_EQ(distance_bucket(-8, 32, 128), 8);
  EXPECT_EQ(distance_bucket(-16, 32, 128), 10);  // a quarter of the way from 8 to 128
  EXPECT_EQ(distance_bucket(-128, 32, 128), 15);
  EXPECT_EQ(distance_bucket(-5000, 32, 128), 15);
  EXPECT_EQ(distance_bucket(5000, 32, 128), 31);
}

std::string with(Json config, std::string_view key, const Json& value) {
  const testing::ModelDirectory directory(config, 1);
  directory.write_config(config.set(key, value));
  try {
    open_model(directory.path());
  } catch (const Error& error) {
    return error.what();
  }
  return "it was opened";
}

TEST(CpmTree, WhatConfigsMayNotSayIsRefusedByName) {
  EXPECT_THAT(with(ant_config(), "dim_model", 32), HasSubstr("'dim_model' is a key of the first release"));
  EXPECT_THAT(with(ant_config(), "position_bias_max_distance", 4), HasSubstr("position_bias_max_distance 4"));
  EXPECT_THAT(with(ant_config(), "prompt_types", 2), HasSubstr("prompt_types"));
  EXPECT_THAT(with(ant_config(), "prompt_length", 4),
              HasSubstr("of the wrong shape: 'cpmant.input_embedding.weight'"));
  EXPECT_THAT(with(bee_config(), "mask_modules", Json::parse("[[true, false]]", "")),
              HasSubstr("1 entries for 2 layers"));
  EXPECT_THAT(with(bee_config(), "mask_modules", Json::parse("[[true, false], [false]]", "")),
              HasSubstr("1 values for layer 1"));
  EXPECT_THAT(with(bee_config(), "mask_modules", Json::parse("[[false, false], [true, false]]", "")),
              HasSubstr("attention of the last layer"));
}

}  // namespace
}  // namespace martlet::models
