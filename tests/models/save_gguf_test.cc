// Writing GGUF and reading it back, without a peer; tests/oracle/test_convert.py has the peers.

#include "models/save_gguf.h"

#include <functional>
#include <gtest/gtest.h>
#include <map>

#include "base/error.h"
#include "base/files.h"
#include "base/temporary_folder.h"
#include "models/row_parts.h"
#include "models/save.h"
#include "nn/tree.h"
#include "support/random_model.h"
#include "tensor/allocator.h"

namespace martlet::models {
namespace {

Json config_of(std::string_view family) {
  Json config = testing::small_llama_config();
  config.set("model_type", family);
  if (family == "gpt2")
    config = Json::parse(R"({"model_type": "gpt2", "vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 4,
      "n_positions": 64})",
                         "config");
  if (family == "gemma3_text")
    config.set("num_hidden_layers", 7).set("head_dim", 8).set("query_pre_attn_scalar", 8);
  return config;
}

OpenModel opened(const Json& config) {
  OpenModel model;
  model.tree = testing::random_model(config, 3);
  model.family = &family_named(config.at("model_type").string());
  model.config = config;
  return model;
}

std::map<std::string, std::vector<float>> values_of(const OpenModel& model) {
  std::map<std::string, std::vector<float>> values;
  nn::walk_parameters(*model.tree, [&](const std::string& path, nn::Parameter& parameter) {
    values[path] = parameter.shape().rank() == 2 ? parameter.weight().unpack().to_vector<float>()
                                                 : parameter.tensor().to_vector<float>();
  });
  return values;
}

std::vector<float> logits_of(const OpenModel& model) {
  nn::Batch batch;
  batch.add(std::vector<int32_t>{1, 5, 9, 96, 4});
  return model.tree->logits(model.tree->hidden(batch)).to_vector<float>();
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "no error";
}

class SaveGguf : public ::testing::TestWithParam<const char*> {};

TEST_P(SaveGguf, AFileGivesTheBitsOfTheModelAndSoDoesADirectoryMadeOfIt) {
  const TemporaryFolder folder;
  const OpenModel model = opened(config_of(GetParam()));
  save_gguf(model, folder / "m.gguf");
  const OpenModel file = open_model(folder / "m.gguf");
  EXPECT_EQ(logits_of(file).size(), logits_of(model).size());
  // Norms that are stored with 1 added lose their last bits.
  if (std::string_view(GetParam()) != "gemma3_text") {
    EXPECT_EQ(values_of(file), values_of(model));
    EXPECT_EQ(logits_of(file), logits_of(model));
  }
  save_model(file, folder / "back");
  const OpenModel back = open_model(folder / "back");
  EXPECT_EQ(values_of(back), values_of(file));
  EXPECT_EQ(logits_of(back), logits_of(file));
  save_gguf(file, folder / "again.gguf");
  EXPECT_EQ(values_of(open_model(folder / "again.gguf")), values_of(file));
}
INSTANTIATE_TEST_SUITE_P(Families, SaveGguf,
                         ::testing::Values("llama", "mistral", "qwen2", "qwen3", "smollm3", "minicpm", "phi3",
                                           "gpt2", "gemma3_text"));

TEST(SaveGgufTest, EveryFamilyIsWrittenOrRefusedByName) {
  for (const Family* family : families()) {
    const bool refused = family->name == "bert" || family->name.starts_with("cpm");
    EXPECT_EQ(family->config_to_gguf == nullptr, refused) << family->name;
    EXPECT_FALSE(family->transformers_class.empty() && family->name != "bert") << family->name;
  }
}

TEST(SaveGgufTest, LongMatricesAreWrittenInParts) {
  const TemporaryFolder folder;
  // Matrices of 4.5 million elements, of which two parts are made; heads of 64 rows change their order.
  const int64_t hidden = 2112;
  Json config = testing::small_llama_config();
  config.set("hidden_size", hidden).set("num_hidden_layers", 1).set("num_attention_heads", 33);
  config.set("num_key_value_heads", 3);
  const OpenModel model = opened(config);
  const int64_t whole = hidden * hidden * static_cast<int64_t>(sizeof(float));
  int64_t announced = 0;
  const auto note = [&](int64_t bytes) { announced = bytes; };
  const auto most_beside = [&](const std::function<void()>& write) {
    const int64_t before = total_memory_use(Device::kCpu).now;
    reset_memory_peaks(Device::kCpu);
    write();
    return total_memory_use(Device::kCpu).peak - before;
  };
  EXPECT_LT(most_beside([&] { save_gguf(model, folder / "m.gguf", {.before_writing = note}); }), whole);
  EXPECT_GT(announced, kPartElements * static_cast<int64_t>(sizeof(float)));
  const OpenModel file = open_model(folder / "m.gguf");
  EXPECT_EQ(values_of(file) == values_of(model), true);
  GgufSaveOptions half = with_dtype(DType::kBF16);
  half.before_writing = note;
  EXPECT_LT(most_beside([&] { save_gguf(file, folder / "half.gguf", half); }), announced);
  EXPECT_LT(most_beside(
                [&] { save_model(model, folder / "half", {.dtype = DType::kBF16, .before_writing = note}); }),
            announced);
  // Vectors are f32 in a GGUF file, and of 16 bits in the directory.
  const auto matrices_of = [](const std::string& path) {
    auto values = values_of(open_model(path));
    std::erase_if(values, [](const auto& each) { return each.first.find("norm") != std::string::npos; });
    return values;
  };
  EXPECT_EQ(matrices_of(folder / "half.gguf") == matrices_of(folder / "half"), true);
}

TEST(SaveGgufTest, WhatOpeningMakesLiesInAFileWhereThatIsAskedFor) {
  const TemporaryFolder folder;
  Json config = testing::small_llama_config();
  config.set("hidden_size", 1024).set("num_hidden_layers", 1);
  const OpenModel model = opened(config);
  save_gguf(model, folder / "m.gguf");
  // Queries whose heads change their order.
  const int64_t queries = int64_t{1024} * 1024 * static_cast<int64_t>(sizeof(float));
  const auto held = [&](const OpenOptions& options) {
    const int64_t before = total_memory_use(Device::kCpu).now;
    const OpenModel file = open_model(folder / "m.gguf", options);
    EXPECT_EQ(values_of(file) == values_of(model), true);
    return total_memory_use(Device::kCpu).now - before;
  };
  EXPECT_GT(held({}), queries);
  EXPECT_LT(held({.spill_folder = folder / "spilled"}), queries / 4);
}

TEST(SaveGgufTest, WhoSaysNoBeforeWritingLeavesNothing) {
  const TemporaryFolder folder;
  const auto refuse = [](int64_t) { bad_input("no"); };
  EXPECT_THROW(save_gguf(opened(config_of("llama")), folder / "m.gguf", {.before_writing = refuse}), Error);
  EXPECT_THROW(save_model(opened(config_of("llama")), folder / "m", {.before_writing = refuse}), Error);
  EXPECT_FALSE(name_exists(folder / "m.gguf"));
  EXPECT_FALSE(name_exists(folder / "m"));
}

TEST(SaveGgufTest, DtypesAreThoseAskedFor) {
  const TemporaryFolder folder;
  const OpenModel model = opened(config_of("llama"));
  save_gguf(model, folder / "m.gguf", with_dtype(DType::kBF16));
  nn::walk_parameters(
      *open_model(folder / "m.gguf").tree, [&](const std::string& path, nn::Parameter& parameter) {
        EXPECT_EQ(parameter.type_name(), parameter.shape().rank() == 2 ? "bf16" : "f32") << path;
      });
  save_model(model, folder / "half", {.dtype = DType::kF16});
  nn::walk_parameters(*open_model(folder / "half").tree,
                      [&](const std::string& path, nn::Parameter& parameter) {
                        if (parameter.shape().rank() == 2) {
                          EXPECT_EQ(parameter.type_name(), "f16") << path;
                        }
                      });
}

TEST(SaveGgufTest, WhatTheFormCannotSayIsRefusedAndNothingWritten) {
  const TemporaryFolder folder;
  const std::string path = folder / "m.gguf";
  const auto with = [&](std::string_view family, const std::function<void(Json&)>& change) {
    Json config = config_of(family);
    change(config);
    const std::string message = refusal([&] { save_gguf(opened(config), path); });
    EXPECT_FALSE(file_exists(path));
    return message;
  };
  const auto expect = [](const std::string& message, std::string_view part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(with("llama", [](Json& c) { c.set("hidden_act", "gelu"); }), "hidden_act");
  expect(with("llama", [](Json& c) { c.set("partial_rotary_factor", 0.5); }), "4 of a head's 8");
  expect(with("qwen3", [](Json& c) { c.set("attention_bias", true); }), "attention_bias");
  expect(with("smollm3", [](Json& c) { c.set("no_rope_layer_interval", 2); }), "layer 1");
  expect(with("gpt2", [](Json& c) { c.set("scale_attn_by_inverse_layer_idx", true); }),
         "scale_attn_by_inverse");
  expect(with("gemma3_text", [](Json& c) { c.set("attention_bias", true); }), "attention_bias");
  expect(with("gemma3_text", [](Json& c) { c.set("query_pre_attn_scalar", 9); }), "query_pre_attn_scalar");
  expect(with("gemma3_text", [](Json& c) { c.set("sliding_window_pattern", 2); }), "every sixth");
}

TEST(SaveGgufTest, AWindowBoundsTheContext) {
  const TemporaryFolder folder;
  Json config = config_of("mistral");
  config.set("sliding_window", 16);
  save_gguf(opened(config), folder / "m.gguf");
  EXPECT_EQ(open_model(folder / "m.gguf").tree->shape().max_positions, 16);
}

}  // namespace
}  // namespace martlet::models
