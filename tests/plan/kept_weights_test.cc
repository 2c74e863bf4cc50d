// A packed model opened again and again: its weights rearranged once, then taken from disk.

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

#include "base/error.h"
#include "kept_folder.h"
#include "models/save_gguf.h"
#include "nn/tree.h"
#include "support/random_model.h"

namespace martlet::plan {
namespace {

namespace fs = std::filesystem;

/// A llama of packed matrices with blocks of `format`.
class KeptWeightsTest : public KeptFolder, public ::testing::TestWithParam<const char*> {
 protected:
  KeptWeightsTest() { write_model(11); }

  void write_model(uint64_t seed, bool tied = false) const {
    Json config = martlet::testing::small_llama_config();
    config.set("hidden_size", 256)
        .set("intermediate_size", 256)
        .set("head_dim", 64)
        .set("tie_word_embeddings", tied);
    models::OpenModel model;
    model.tree = martlet::testing::random_model(config, seed);
    model.family = &models::family_named("llama");
    model.config = config;
    models::GgufSaveOptions options;
    const ops::PackedFormat* format = ops::find_packed_format(GetParam());
    options.type = [&](std::string_view, const ops::Weight&) {
      return formats::GgufTensorType{.packed = format};
    };
    options.pack = [](std::string_view, const ops::Weight& weight, const ops::PackedFormat& to) {
      const Tensor values = weight.unpack();
      const Tensor bytes = Tensor::empty({weight.rows(), to.row_bytes(weight.columns())}, DType::kU8);
      to.pack(values.data<float>(), nullptr, weight.rows() * weight.columns() / to.block_elements,
              bytes.mutable_host_bytes());
      return ops::Weight(to, bytes, weight.columns());
    };
    models::save_gguf(model, path(), options);
  }

  std::string path() const { return folder_ / "m.gguf"; }
};

TEST_P(KeptWeightsTest, EveryStartGivesTheSameBits) {
  models::OpenOptions without = options();
  without.weight_cache.reset();
  const std::vector<float> wanted = logits_of(models::open_model(path(), without));
  EXPECT_TRUE(cache_files().empty());
  for (const auto check : {models::WeightCache::Check::kNow, models::WeightCache::Check::kLater}) {
    fs::remove_all(cache_folder());
    models::OpenOptions with = options();
    with.check_kept_weights = check;
    for (int start = 0; start < 3; ++start) {
      const models::OpenModel model = models::open_model(path(), with);
      EXPECT_EQ(logits_of(model), wanted) << start;
      // And it is told as if it had been made anew.
      ASSERT_EQ(model.rewrites.size(), 2u);
      EXPECT_EQ(model.rewrites[0].changed.size(), 15u);
      nn::walk_parameters(*model.tree, [&](const std::string& at, nn::Parameter& parameter) {
        const bool packed =
            (at.starts_with("layers.") && parameter.shape().rank() == 2) || at == "lm_head.weight";
        EXPECT_EQ(parameter.shape().rank() == 2 && parameter.weight().is_interleaved(), packed) << at;
      });
    }
    EXPECT_EQ(cache_files().size(), 1u);
  }
}

TEST_P(KeptWeightsTest, AHeadThatIsTheEmbeddingIsMappedToo) {
  write_model(13, true);
  const std::vector<float> first = logits_of(models::open_model(path(), options()));
  const models::OpenModel model = models::open_model(path(), options());
  EXPECT_EQ(logits_of(model), first);
  int interleaved = 0;
  nn::walk_parameters(*model.tree, [&](const std::string& at, nn::Parameter& parameter) {
    if (parameter.shape().rank() != 2) return;
    interleaved += parameter.weight().is_interleaved() ? 1 : 0;
    EXPECT_TRUE(parameter.weight().storage().is_read_only()) << at << " was made anew";
  });
  EXPECT_EQ(interleaved, 16);
}

TEST_P(KeptWeightsTest, ADamagedFileIsReplacedAndChangesNothing) {
  const std::vector<float> wanted = logits_of(models::open_model(path(), options()));
  const fs::path file = cache_files().at(0);
  const std::string good = read_file(file);
  for (const size_t byte : {good.size() / 3, good.size() / 2, good.size() - 5}) {
    std::string bad = good;
    bad[byte] = static_cast<char>(bad[byte] ^ 0x10);
    write_file(file, bad);
    EXPECT_EQ(logits_of(models::open_model(path(), options())), wanted);
    EXPECT_EQ(read_file(file), good) << "made again, byte " << byte;
  }
  fs::resize_file(file, good.size() / 2);
  EXPECT_EQ(logits_of(models::open_model(path(), options())), wanted);
  EXPECT_EQ(read_file(file), good);
}

TEST_P(KeptWeightsTest, AChangedModelIsSeenEvenWithItsOldSizeAndTime) {
  const std::vector<float> before = logits_of(models::open_model(path(), options()));
  const auto time = fs::last_write_time(path());
  const auto size = fs::file_size(path());
  write_model(12);
  ASSERT_EQ(fs::file_size(path()), size);
  fs::last_write_time(path(), time);
  const std::vector<float> after = logits_of(models::open_model(path(), options()));
  EXPECT_NE(after, before);
  models::OpenOptions without = options();
  without.weight_cache.reset();
  EXPECT_EQ(after, logits_of(models::open_model(path(), without)));
  EXPECT_EQ(cache_files().size(), 1u) << "in the place of the old one";
}

TEST_P(KeptWeightsTest, AnotherFormOfTheCacheUsesTheSameFile) {
  models::open_model(path(), options());
  const auto written = fs::last_write_time(cache_files().at(0));
  const std::string good = read_file(cache_files().at(0));
  models::OpenOptions with = options();
  with.rewrites = {{"kv_cache", Json::parse(R"({"format": "q8"})", "test")}};
  models::open_model(path(), with);
  EXPECT_GT(fs::last_write_time(cache_files().at(0)), written) << "used";
  EXPECT_EQ(read_file(cache_files().at(0)), good);
  EXPECT_EQ(cache_files().size(), 1u);
}

TEST_P(KeptWeightsTest, WhatIsPackedWhenOpenedIsKeptToo) {
  Json config = martlet::testing::small_llama_config();
  config.set("hidden_size", 256).set("intermediate_size", 256).set("head_dim", 64);
  const martlet::testing::ModelDirectory unpacked(config, 13);
  models::OpenOptions with = options();
  with.rewrites = {{"quantize", Json().set("to", GetParam()).set("pattern", "layers.**")}};
  models::OpenOptions without = with;
  without.weight_cache.reset();
  const std::vector<float> wanted = logits_of(models::open_model(unpacked.path(), without));
  for (const auto check : {models::WeightCache::Check::kNow, models::WeightCache::Check::kLater}) {
    fs::remove_all(cache_folder());
    with.check_kept_weights = check;
    for (int start = 0; start < 3; ++start) {
      const models::OpenModel model = models::open_model(unpacked.path(), with);
      EXPECT_EQ(logits_of(model), wanted) << start;
      EXPECT_EQ(model.kept.size(), 14u) << start;
      ASSERT_EQ(model.rewrites.size(), 3u);
      EXPECT_EQ(model.rewrites[0].changed.size(), 14u) << start;
    }
    EXPECT_EQ(cache_files().size(), 1u);
  }
  // Another format is another file.
  with.rewrites = {{"quantize", Json().set("to", "q5_0").set("pattern", "layers.**")}};
  EXPECT_NE(logits_of(models::open_model(unpacked.path(), with)), wanted);
  EXPECT_EQ(cache_files().size(), 2u);
  // What an opening made is made anew as it was, weight by weight.
  const models::OpenModel model = models::open_model(unpacked.path(), with);
  ASSERT_TRUE(model.remake);
  for (const auto& [path, weight] : model.kept) {
    const Tensor bytes = Tensor::zeros({weight.bytes.byte_count()}, DType::kU8);
    model.remake(path, bytes);
    EXPECT_EQ(bytes.to_vector<uint8_t>(), weight.bytes.to_vector<uint8_t>()) << path;
  }
}

TEST_P(KeptWeightsTest, EveryWeightCanBeMadeAnew) {
  models::open_model(path(), options());
  const models::OpenModel model = models::open_model(path(), options());
  ASSERT_TRUE(model.remake);
  EXPECT_EQ(model.kept.size(), 15u);
  for (const auto& [path, weight] : model.kept) {
    const Tensor bytes = Tensor::zeros({weight.bytes.byte_count()}, DType::kU8);
    model.remake(path, bytes);
    EXPECT_EQ(bytes.to_vector<uint8_t>(), weight.bytes.to_vector<uint8_t>()) << path;
  }
  EXPECT_THROW(model.remake("layers.9.attention.q_proj.weight", Tensor::zeros({4}, DType::kU8)), Error);
}

TEST_P(KeptWeightsTest, OtherRewritesAreNotKept) {
  models::OpenOptions with = options();
  with.rewrites = {{"probe", Json::parse(R"({"pattern": "layers.*"})", "test")}};
  models::open_model(path(), with);
  EXPECT_TRUE(cache_files().empty());
  with = options();
  with.skip = {"int8_activations"};
  models::open_model(path(), with);
  EXPECT_TRUE(cache_files().empty());
}

INSTANTIATE_TEST_SUITE_P(Formats, KeptWeightsTest, ::testing::Values("q4_0", "q8_0", "q4_k", "q6_k"));

}  // namespace
}  // namespace martlet::plan
