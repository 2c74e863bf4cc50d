// Directories whose matrices are packed, by other tools or by this program, opened again and again:
// rearranged once, then taken from disk.

#include <cmath>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "formats/quantised.h"
#include "kept_folder.h"
#include "models/save.h"
#include "nn/tree.h"
#include "support/quantised_model.h"
#include "support/random_model.h"

namespace martlet::plan {
namespace {

namespace fs = std::filesystem;
using Check = models::WeightCache::Check;

Json small_config() {
  Json config = martlet::testing::small_llama_config();
  return config.set("hidden_size", 256).set("intermediate_size", 256).set("head_dim", 64);
}

class KeptDirectory : public KeptFolder, public ::testing::Test {
 protected:
  std::string path() const { return folder_ / "model"; }
  models::OpenModel open() const { return models::open_model(path(), options()); }
  /// As it is with nothing kept.
  std::vector<float> wanted() const {
    models::OpenOptions without = options();
    without.weight_cache.reset();
    return logits_of(models::open_model(path(), without));
  }

  /// At most, while it is done.
  static int64_t memory_for_weights(const std::function<void()>& what) {
    const auto weights = [] { return memory_use(Device::kCpu)[static_cast<size_t>(Owner::kWeights)]; };
    reset_memory_peaks(Device::kCpu);
    const int64_t before = weights().now;
    what();
    return weights().peak - before;
  }

  /// The matrices of both layers come mapped from the weight cache.
  static void expect_mapped(const models::OpenModel& model) {
    EXPECT_EQ(model.kept.size(), 14u);
    nn::walk_parameters(*model.tree, [&](const std::string& at, nn::Parameter& parameter) {
      if (!at.starts_with("layers.") || parameter.shape().rank() != 2) return;
      EXPECT_TRUE(parameter.weight().is_interleaved()) << at;
      EXPECT_TRUE(parameter.weight().storage().is_read_only()) << at << " was made anew";
    });
  }

  void expect_every_start_alike() const {
    const std::vector<float> wanted = this->wanted();
    for (const Check check : {Check::kNow, Check::kLater}) {
      fs::remove_all(cache_folder());
      models::OpenOptions with = options();
      with.check_kept_weights = check;
      for (int start = 0; start < 3; ++start) {
        const models::OpenModel model = models::open_model(path(), with);
        EXPECT_EQ(logits_of(model), wanted) << start;
        expect_mapped(model);
        const nn::AppliedRewrite& rearranged = model.rewrites[model.rewrites.size() - 2];
        EXPECT_EQ(rearranged.rewrite->name, "int8_activations");
        EXPECT_EQ(rearranged.changed.size(), 14u) << "told as if it had been made anew";
      }
      EXPECT_EQ(cache_files().size(), 1u);
    }
  }

  void expect_damage_mended() const {
    const std::vector<float> wanted = logits_of(open());
    const fs::path file = cache_files().at(0);
    const std::string good = read_file(file);
    for (const size_t byte : {good.size() / 3, good.size() / 2, good.size() - 5}) {
      std::string bad = good;
      bad[byte] = static_cast<char>(bad[byte] ^ 0x10);
      write_file(file, bad);
      EXPECT_EQ(logits_of(open()), wanted);
      EXPECT_TRUE(read_file(file) == good) << "made again, byte " << byte;
    }
    fs::resize_file(file, good.size() / 2);
    EXPECT_EQ(logits_of(open()), wanted);
    EXPECT_TRUE(read_file(file) == good);
  }

  void expect_each_can_be_made_anew() const {
    open();
    const models::OpenModel model = open();
    ASSERT_TRUE(model.remake);
    expect_mapped(model);
    for (const auto& [at, weight] : model.kept) {
      const Tensor bytes = Tensor::zeros({weight.bytes.byte_count()}, DType::kU8);
      model.remake(at, bytes);
      EXPECT_EQ(bytes.to_vector<uint8_t>(), weight.bytes.to_vector<uint8_t>()) << at;
    }
    EXPECT_THROW(model.remake("layers.9.attention.q_proj.weight", Tensor::zeros({4}, DType::kU8)), Error);
  }
};

class KeptQuantised : public KeptDirectory, public ::testing::WithParamInterface<std::string_view> {
 protected:
  KeptQuantised() { write_model(1); }
  void write_model(uint64_t seed) const {
    martlet::testing::write_quantised_directory(path(), small_config(), GetParam(), seed);
  }
};

TEST_P(KeptQuantised, EveryStartGivesTheSameBits) {
  expect_every_start_alike();
}

TEST_P(KeptQuantised, ADamagedFileIsReplacedAndChangesNothing) {
  expect_damage_mended();
}

TEST_P(KeptQuantised, EveryWeightCanBeMadeAnew) {
  expect_each_can_be_made_anew();
}

TEST_P(KeptQuantised, OneWeightIsMadeAnewWithoutTheOthers) {
  open();
  const models::OpenModel model = open();
  const auto& [at, weight] = *model.kept.begin();
  const Tensor bytes = Tensor::zeros({weight.bytes.byte_count()}, DType::kU8);
  const int64_t taken = memory_for_weights([&] { model.remake(at, bytes); });
  EXPECT_LT(taken, 2 * weight.bytes.byte_count());
}

TEST_P(KeptQuantised, TheSecondStartMakesNoMatrix) {
  int64_t matrices = 0;
  for (const auto& [at, weight] : open().kept) matrices += weight.bytes.byte_count();
  EXPECT_LT(memory_for_weights([&] { open(); }), matrices / 4) << "norms and orders of columns";
}

TEST_P(KeptQuantised, AChangedModelIsSeenEvenWithItsOldSizeAndTime) {
  const std::vector<float> before = logits_of(open());
  const std::string weights = path() + "/model.safetensors", config = path() + "/config.json";
  const auto time = fs::last_write_time(weights), time_of_config = fs::last_write_time(config);
  const auto size = fs::file_size(weights);
  write_model(2);
  ASSERT_EQ(fs::file_size(weights), size);
  fs::last_write_time(weights, time);
  fs::last_write_time(config, time_of_config);
  const std::vector<float> after = logits_of(open());
  EXPECT_NE(after, before);
  EXPECT_EQ(after, wanted());
  EXPECT_EQ(cache_files().size(), 1u) << "in the place of the old one";
}

TEST_P(KeptQuantised, WhatIsKeptSaysHowItWasRead) {
  open();
  EXPECT_NE(read_file(cache_files().at(0)).find(formats::quantised_fingerprint()), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Methods, KeptQuantised, ::testing::ValuesIn(martlet::testing::kQuantisedMethods),
                         [](const auto& its) { return std::string(its.param); });

TEST_F(KeptDirectory, ATableBesideTheConfigCounts) {
  martlet::testing::write_quantised_directory(path(), small_config(), "gptq", 1);
  Json config = Json::parse_file(path() + "/config.json");
  Json table = config.at("quantization_config");
  config.set("quantization_config", nullptr);
  write_file(path() + "/config.json", config.dump());
  write_file(path() + "/quantize_config.json", table.dump());
  const std::vector<float> before = logits_of(open());
  // Zero points are other numbers then.
  write_file(path() + "/quantize_config.json", table.set("checkpoint_format", "gptq_v2").dump());
  const std::vector<float> after = logits_of(open());
  EXPECT_NE(after, before);
  EXPECT_EQ(after, wanted());
}

TEST_F(KeptDirectory, WhatCannotBeReadIsNamed) {
  martlet::testing::write_quantised_directory(path(), small_config(), "bitsandbytes", 1);
  const std::string file = path() + "/model.safetensors";
  std::string content = read_file(file);
  const std::string table = content.substr(8, 1 << 14);
  const size_t at = table.find("offsets\":[", table.find("model.layers.1.mlp.up_proj.SCB"));
  ASSERT_NE(at, std::string::npos);
  uint64_t header = 0;
  std::memcpy(&header, content.data(), sizeof(header));
  const float infinity = INFINITY;
  std::memcpy(content.data() + 8 + header + std::stoull(table.substr(at + 10)), &infinity, sizeof(infinity));
  write_file(file, content);
  try {
    open();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_NE(
        std::string_view(error.what()).find("1 that cannot be read: 'model.layers.1.mlp.up_proj.weight'"),
        std::string_view::npos)
        << error.what();
  }
}

/// Directories that this program wrote with a martlet.toml.
class KeptRewritten : public KeptDirectory {
 protected:
  void write_model(uint64_t seed, const std::vector<nn::RewriteRequest>& requests, bool packed) const {
    const martlet::testing::ModelDirectory plain(small_config(), seed);
    fs::remove_all(path());
    models::save_model(models::open_model(plain.path(), {rewrites(), requests}), path(),
                       {.keep_packed = packed});
  }
  static nn::RewriteRequest packing(std::string_view to) {
    return {"quantize", Json().set("to", to).set("pattern", "layers.**")};
  }
};

TEST_F(KeptRewritten, WhatPacksIsKept) {
  for (const bool packed : {false, true}) {
    SCOPED_TRACE(packed);
    write_model(1, {packing("q4_k")}, packed);
    expect_every_start_alike();
    expect_damage_mended();
    expect_each_can_be_made_anew();
  }
}

TEST_F(KeptRewritten, AChangedRewriteIsSeen) {
  write_model(1, {packing("q4_k")}, false);
  const std::vector<float> before = logits_of(open());
  const std::string file = path() + "/martlet.toml";
  const auto time = fs::last_write_time(file);
  std::string text = read_file(file);
  text.replace(text.find("q4_k"), 4, "q5_k");
  write_file(file, text);
  fs::last_write_time(file, time);
  const std::vector<float> after = logits_of(open());
  EXPECT_NE(after, before);
  EXPECT_EQ(after, wanted());
}

TEST_F(KeptRewritten, WhatIsSkippedIsNotTakenFromTheCache) {
  write_model(1, {packing("q4_k")}, false);
  open();
  ASSERT_EQ(cache_files().size(), 1u);
  models::OpenOptions skipping = options();
  skipping.skip = {"quantize"};
  const models::OpenModel model = models::open_model(path(), skipping);
  EXPECT_TRUE(model.kept.empty());
  nn::walk_parameters(*model.tree, [](const std::string& at, nn::Parameter& parameter) {
    EXPECT_EQ(parameter.type_name(), "f32") << at;
  });
}

TEST_F(KeptRewritten, WhereOthersChangeWeightsNothingIsKept) {
  for (const nn::RewriteRequest& other :
       {nn::RewriteRequest{"low_rank", Json().set("pattern", "layers.*.feed_forward.*").set("rank", 8)},
        packing("q8_0")}) {
    write_model(1, {other, packing("q4_k")}, false);
    const std::vector<float> wanted = this->wanted();
    for (int start = 0; start < 2; ++start) {
      const models::OpenModel model = open();
      EXPECT_TRUE(model.kept.empty());
      EXPECT_EQ(logits_of(model), wanted);
    }
    EXPECT_TRUE(cache_files().empty());
  }
}

}  // namespace
}  // namespace martlet::plan
