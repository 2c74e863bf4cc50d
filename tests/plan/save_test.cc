// A rewritten model goes to disk and comes back the same, through every rewrite of the catalogue.
#include "models/save.h"

#include <filesystem>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "base/temporary_folder.h"
#include "formats/safetensors.h"
#include "models/rewrites_file.h"
#include "nn/tree.h"
#include "plan/catalogue.h"
#include "support/random_model.h"

namespace martlet::models {
namespace {

nn::RewriteRequest request_of(std::string_view name, std::string_view key, Json value) {
  nn::RewriteRequest request{std::string(name), {}};
  request.arguments.set(key, std::move(value));
  return request;
}

std::vector<float> logits_of(const OpenModel& model) {
  nn::Batch batch;
  batch.add(std::vector<int32_t>{1, 5, 9, 2});
  return model.tree->logits(model.tree->hidden(batch)).to_vector<float>();
}

OpenModel open_with_all(const std::string& path, std::vector<nn::RewriteRequest> requests = {},
                        std::vector<std::string> skip = {}) {
  return open_model(path, {plan::rewrites(), std::move(requests), std::move(skip)});
}

class Save : public ::testing::Test {
 protected:
  /// Opens the source with the requests, saves and opens again: logits must have the same bits.
  void expect_same_after_saving(const std::vector<nn::RewriteRequest>& requests) {
    const OpenModel model = open_with_all(source_.path(), requests);
    const std::string out = folder_ / "out";
    save_model(model, out);
    const OpenModel again = open_with_all(out);
    EXPECT_EQ(logits_of(again), logits_of(model));
    ASSERT_EQ(again.rewrites.size(), requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(again.rewrites[i].rewrite->name, requests[i].name);
      EXPECT_EQ(again.rewrites[i].arguments.values(), model.rewrites[i].arguments.values());
    }
  }

  martlet::testing::ModelDirectory source_{martlet::testing::small_llama_config(), 21};
  TemporaryFolder folder_;
};

TEST_F(Save, WithoutRewritesTheDirectoryIsThePlainModel) {
  expect_same_after_saving({});
  EXPECT_FALSE(file_exists(folder_ / "out/martlet.toml"));
  EXPECT_FALSE(file_exists(folder_ / "out/rewrites.safetensors"));
}

TEST_F(Save, ACastComesBack) {
  expect_same_after_saving({request_of("cast", "to", "bf16")});
}

TEST_F(Save, ALowRankModelComesBackWithoutDecomposingAgain) {
  expect_same_after_saving({request_of("low_rank", "energy", 0.7)});
}

TEST_F(Save, BytesOfWeightsComeBackFromTheirPlainForm) {
  expect_same_after_saving({request_of("llm_int8", "threshold", 0.25)});
  EXPECT_FALSE(file_exists(folder_ / "out/rewrites.safetensors"));
}

TEST_F(Save, PackedMatricesThatAreKeptComeBackBitForBit) {
  for (const char* to : {"q8_0", "q4_0", "q5_1"}) {
    SCOPED_TRACE(to);
    const OpenModel model = open_with_all(source_.path(), {request_of("quantize", "to", to)});
    const std::string out = folder_ / to;
    save_model(model, out, {.keep_packed = true});
    const OpenModel again = open_with_all(out);
    EXPECT_EQ(logits_of(again), logits_of(model));
    nn::walk_parameters(*model.tree, [&](const std::string& path, nn::Parameter& parameter) {
      nn::walk_parameters(*again.tree, [&](const std::string& other, nn::Parameter& its) {
        if (other == path) {
          EXPECT_EQ(its.type_name(), parameter.type_name()) << path;
        }
      });
    });
    EXPECT_EQ(again.config.find("quantization_config"), nullptr);
    // And once more, from the packed directory: the same files.
    save_model(again, out + "-again", {.keep_packed = true});
    EXPECT_EQ(read_file(out + "-again/model.safetensors"), read_file(out + "/model.safetensors"));
    EXPECT_EQ(read_file(out + "-again/config.json"), read_file(out + "/config.json"));
  }
}

TEST_F(Save, RewritesComeBackInTheirOrder) {
  expect_same_after_saving({request_of("low_rank", "rank", 5), request_of("cast", "to", "f16"),
                            request_of("probe", "pattern", "**"), request_of("cast", "pattern", "lm_head")});
}

TEST_F(Save, WhatIsTiedComesBackTiedAndIsWrittenAtEveryPath) {
  nn::RewriteRequest tie = request_of("tie", "pattern", "lm_head");
  tie.arguments.set("to", "embed_tokens");
  nn::RewriteRequest blocks = request_of("tie", "pattern", "layers.1");
  blocks.arguments.set("to", "layers.0");
  expect_same_after_saving({tie, blocks});
  // Who knows no rewrite reads the same function.
  const std::vector<float> tied = logits_of(open_with_all(folder_ / "out"));
  std::filesystem::remove(folder_ / "out/martlet.toml");
  EXPECT_EQ(logits_of(open_model(folder_ / "out")), tied);
}

TEST_F(Save, WhatIsAboutTrainingAloneLeavesNothing) {
  nn::RewriteRequest freeze = request_of("freeze", "pattern", "layers.*");
  save_model(open_with_all(source_.path(), {freeze, request_of("recompute", "pattern", "layers.*")}),
             folder_ / "out");
  EXPECT_FALSE(file_exists(folder_ / "out/martlet.toml"));
  save_model(open_with_all(source_.path(), {freeze, request_of("cast", "to", "f16")}), folder_ / "cast");
  const std::vector<nn::RewriteRequest> kept = read_rewrites(folder_ / "cast/martlet.toml");
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].name, "cast");
}

TEST_F(Save, WhoKnowsNoRewriteReadsTheProductOfTheFactors) {
  const OpenModel model = open_with_all(source_.path(), {request_of("low_rank", "rank", 5)});
  save_model(model, folder_ / "out");
  std::filesystem::remove(folder_ / "out/martlet.toml");
  const std::vector<float> rewritten = logits_of(model), plain = logits_of(open_model(folder_ / "out"));
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(plain[i], rewritten[i], 1e-4);
}

TEST_F(Save, ASkippedRewriteOfTheModelIsLeftOut) {
  save_model(open_with_all(source_.path(), {request_of("low_rank", "rank", 5)}), folder_ / "out");
  const OpenModel skipped = open_with_all(folder_ / "out", {}, {"low_rank"});
  EXPECT_EQ(nn::module_at(*skipped.tree, "layers.0.feed_forward.up_proj")->kind(), "AffineLinear");
  EXPECT_TRUE(skipped.rewrites[0].skipped);
}

TEST_F(Save, AnExistingFolderIsNotTouched) {
  write_file(folder_ / "precious", "text");
  EXPECT_THROW(save_model(open_with_all(source_.path()), folder_.path()), Error);
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"precious"});
}

TEST_F(Save, GivesBackTheTensorsOfADirectoryByteForByte) {
  for (const std::string_view family : {"llama", "gpt2"}) {
    Json config = martlet::testing::small_llama_config();
    if (family == "gpt2")
      config =
          Json::parse(R"({"model_type": "gpt2", "vocab_size": 61, "n_embd": 32, "n_layer": 2, "n_head": 4,
        "n_positions": 48})",
                      "config");
    // What is written once and read again must be stored the same way the second time.
    const martlet::testing::ModelDirectory source(config, 5);
    save_model(open_model(source.path()), folder_ / std::string(family));
    save_model(open_model(folder_ / std::string(family)), folder_ / (std::string(family) + "2"));
    EXPECT_EQ(read_file(folder_ / (std::string(family) + "/model.safetensors")),
              read_file(folder_ / (std::string(family) + "2/model.safetensors")));
  }
}

TEST(RewritesFile, WhatIsBrokenIsNamed) {
  const TemporaryFolder folder;
  const auto message = [&](std::string_view text) -> std::string {
    write_file(folder / "martlet.toml", text);
    try {
      read_rewrites(folder / "martlet.toml");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message("version = 2\n").find("version 2"), std::string::npos);
  EXPECT_NE(message("version = 1\n[[rewrite]]\nrank = 3\n").find(":2: a rewrite has no name"),
            std::string::npos);
  EXPECT_NE(message("version = 1\nrewrite = 5\n").find("martlet.toml"), std::string::npos);
  EXPECT_EQ(message("version = 1\n"), "");
}

}  // namespace
}  // namespace martlet::models
