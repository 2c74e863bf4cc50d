#include "compress/quantize.h"

#include <cmath>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "base/temporary_folder.h"
#include "base/thread_pool.h"
#include "nn/apply_rewrite.h"
#include "nn/tree.h"
#include "support/random_model.h"

namespace martlet::compress {
namespace {

constexpr const nn::Rewrite* kCatalogue[] = {&kQuantize};

Json wide_config() {
  Json config = martlet::testing::small_llama_config();
  config.set("hidden_size", 256).set("intermediate_size", 512).set("num_hidden_layers", 3);
  config.set("num_attention_heads", 4).set("num_key_value_heads", 2);
  config.set("head_dim", 64);
  return config;
}

models::OpenModel opened(const Json& config) {
  models::OpenModel model;
  model.tree = martlet::testing::random_model(config, 3);
  model.family = &models::family_named("llama");
  model.config = config;
  return model;
}

Tensor random_matrix(int64_t rows, int64_t columns) {
  const Philox random(5);
  std::vector<float> values(static_cast<size_t>(rows * columns));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i));
  return Tensor::from(values, {rows, columns});
}

TEST(Quantize, MatricesArePackedAlikeOnAnyNumberOfThreads) {
  const ops::Weight weight(random_matrix(37, 512));
  std::vector<float> columns(512);
  for (size_t i = 0; i < columns.size(); ++i) columns[i] = 1.0f + static_cast<float>(i % 7);
  for (const char* name : {"q4_0", "q8_0", "q4_k", "q6_k"}) {
    const ops::PackedFormat& format = *ops::find_packed_format(name);
    set_thread_count(1);
    const Tensor one = packed("w", weight, format, &columns).storage();
    set_thread_count(5);
    const Tensor five = packed("w", weight, format, &columns).storage();
    set_thread_count(0);
    EXPECT_EQ(one.to_vector<uint8_t>(), five.to_vector<uint8_t>()) << name;
    EXPECT_NE(one.to_vector<uint8_t>(), packed("w", weight, format, nullptr).storage().to_vector<uint8_t>())
        << name;
  }
}

TEST(Quantize, WhatCannotBePackedIsNamed) {
  const auto refusal = [](const ops::Weight& weight, const char* format) {
    try {
      packed("layers.0.x", weight, *ops::find_packed_format(format), nullptr);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  Tensor odd = random_matrix(3, 64);
  odd.mutable_data<float>()[70] = INFINITY;
  EXPECT_NE(refusal(ops::Weight(odd), "q4_0").find("layers.0.x holds inf"), std::string::npos);
  EXPECT_NE(refusal(ops::Weight(random_matrix(3, 64)), "q4_k").find("64 columns"), std::string::npos);
  EXPECT_NE(refusal(ops::Weight(random_matrix(3, 256)), "q3_k").find("not written"), std::string::npos);
}

TEST(Quantize, TheRewritePacksMatricesByTheRecipeAndLeavesVectors) {
  const auto model = martlet::testing::random_model(wide_config(), 3);
  nn::RewriteRequest request{"quantize", {}};
  request.arguments.set("to", "q4_k_m");
  nn::RewriteHistory history;
  nn::apply_rewrite(model, request, kCatalogue, history);
  nn::walk_parameters(*model, [&](const std::string& path, nn::Parameter& parameter) {
    // Of three layers all but the first two thirds are favoured: 21 / 8 = 2.
    const std::string wanted =
        parameter.shape().rank() != 2 ? "f32"
        : path == "lm_head.weight"    ? "q6_k"
        : path.starts_with("layers.2.") &&
                (path.find("v_proj") != std::string::npos || path.find("down_proj") != std::string::npos)
            ? "q6_k"
            : "q4_k";
    EXPECT_EQ(parameter.type_name(), wanted) << path;
  });
}

TEST(Quantize, TheForecastOfBytesIsWhatTheRewriteSaves) {
  const auto model = martlet::testing::random_model(wide_config(), 3);
  const int64_t before = nn::measure(*model).bytes;
  nn::RewriteRequest request{"quantize", {}};
  request.arguments.set("to", "q4_k").set("pattern", "layers.*.feed_forward.*");
  const nn::Arguments arguments(kQuantize.arguments, request.arguments, "quantize");
  const auto effect = kQuantize.effect(model, arguments);
  nn::RewriteHistory history;
  nn::apply_rewrite(model, request, kCatalogue, history);
  ASSERT_TRUE(effect.has_value());
  EXPECT_EQ(nn::measure(*model).bytes - before, effect->weight_bytes);
}

TEST(Quantize, AFileHoldsWhatTheRewriteMakes) {
  const TemporaryFolder folder;
  const models::OpenModel model = opened(wide_config());
  const std::string path = folder.path() + "/m.gguf";
  models::save_gguf(model, path, quantised(model, recipe_named("q4_k_m"), nullptr));
  const models::OpenModel back = models::open_model(path);
  nn::RewriteRequest request{"quantize", {}};
  request.arguments.set("to", "q4_k_m");
  nn::RewriteHistory history;
  nn::apply_rewrite(model.tree, request, kCatalogue, history);
  std::map<std::string, std::vector<float>> wanted;
  const auto values = [](const nn::Parameter& parameter) {
    return parameter.shape().rank() == 2 ? parameter.weight().unpack().to_vector<float>()
                                         : parameter.tensor().to_vector<float>();
  };
  nn::walk_parameters(
      *model.tree, [&](const std::string& at, nn::Parameter& parameter) { wanted[at] = values(parameter); });
  nn::walk_parameters(*back.tree, [&](const std::string& at, nn::Parameter& parameter) {
    EXPECT_EQ(values(parameter), wanted[at]) << at;
  });
  EXPECT_EQ(back.gguf->metadata().integer("general.file_type"), 15);
  EXPECT_EQ(back.gguf->metadata().integer("general.quantization_version"), 2);
}

}  // namespace
}  // namespace martlet::compress
