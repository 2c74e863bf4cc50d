// Models with sparse experts: files that lie about them, and what a stacked GGUF tensor becomes.

#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "formats/gguf_writer.h"
#include "formats/safetensors.h"
#include "models/open.h"
#include "models/save_gguf.h"
#include "nn/layers.h"
#include "nn/tree.h"
#include "ops/packed_format.h"
#include "support/random_model.h"

namespace martlet::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Json mixtral_config() {
  return testing::small_llama_config()
      .set("model_type", "mixtral")
      .set("num_local_experts", 4)
      .set("num_experts_per_tok", 2);
}

Json qwen2_moe_config() {
  return testing::small_llama_config()
      .set("model_type", "qwen2_moe")
      .set("num_experts", 4)
      .set("num_experts_per_tok", 2)
      .set("moe_intermediate_size", 32)
      .set("shared_expert_intermediate_size", 64);
}

std::string refusal(const std::string& path) {
  try {
    open_model(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput) << error.what();
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << error.what();
    return error.what();
  }
  return "it was opened";
}

/// The message when the config of a directory says otherwise than it did when the weights were written.
std::string with(Json config, const std::function<void(Json&)>& change) {
  const testing::ModelDirectory directory(config, 1);
  EXPECT_EQ(refusal(directory.path()), "it was opened");
  change(config);
  directory.write_config(config);
  return refusal(directory.path());
}

TEST(Experts, ThoseThatAreMissingAreNamed) {
  EXPECT_THAT(with(mixtral_config(), [](Json& config) { config.set("num_local_experts", 5); }),
              AllOf(HasSubstr("6 missing"), HasSubstr("block_sparse_moe.experts.4.w1.weight"),
                    HasSubstr("2 of the wrong shape: 'model.layers.{0..1}.block_sparse_moe.gate.weight' "
                              "(shape [4, 32], and the config says [5, 32])")));
}

TEST(Experts, ThoseThatAreTooManyAreNamed) {
  EXPECT_THAT(with(mixtral_config(), [](Json& config) { config.set("num_local_experts", 3); }),
              AllOf(HasSubstr("6 that the model has no place for"),
                    HasSubstr("block_sparse_moe.experts.3.w2.weight"), HasSubstr("2 of the wrong shape")));
}

TEST(Experts, MoreChosenThanThereAreIsRefused) {
  EXPECT_THAT(with(mixtral_config(), [](Json& config) { config.set("num_experts_per_tok", 5); }),
              HasSubstr("num_experts_per_tok is 5, more than the 4 experts that num_local_experts says"));
  EXPECT_THAT(with(qwen2_moe_config(), [](Json& config) { config.set("num_experts_per_tok", 0); }),
              HasSubstr("num_experts_per_tok"));
}

TEST(Experts, AbsurdNumbersAreRefusedBeforeTheTreeIsBuilt) {
  EXPECT_THAT(with(qwen2_moe_config(),
                   [](Json& config) { config.set("num_experts", 4096).set("num_hidden_layers", 4096); }),
              HasSubstr("4096 experts in each of 4096 layers"));
  EXPECT_THAT(with(qwen2_moe_config(), [](Json& config) { config.set("num_experts", 1 << 20); }),
              HasSubstr("num_experts"));
}

TEST(Experts, LayersWithoutThemHaveAPlainFeedForward) {
  Json config = qwen2_moe_config();
  config.set("num_hidden_layers", 4).set("decoder_sparse_step", 2);
  config.set("mlp_only_layers", Json::Array{Json(3)});
  const auto model = testing::random_model(config, 1);
  for (const auto& [layer, kind] :
       {std::pair{0, "GatedFeedForward"}, {1, "SparseExperts"}, {3, "GatedFeedForward"}})
    EXPECT_EQ(nn::module_at(*model, fmt::format("layers.{}.feed_forward", layer))->kind(), kind) << layer;
}

/// A GGUF file of such a model, its matrices in q8_0 where `packed`.
std::string written(const TemporaryFolder& folder, const Json& config, bool packed) {
  OpenModel model;
  model.tree = testing::random_model(config, 3);
  model.family = &family_named(config.at("model_type").string());
  model.config = config;
  GgufSaveOptions options;
  const ops::PackedFormat& format = *ops::find_packed_format("q8_0");
  if (packed) {
    options.type = [&](std::string_view, const ops::Weight&) {
      return formats::GgufTensorType{.packed = &format};
    };
    options.pack = [](std::string_view, const ops::Weight& weight, const ops::PackedFormat& to) {
      const std::vector<float> values = weight.unpack().to_vector<float>();
      Tensor bytes = Tensor::empty({weight.rows(), to.row_bytes(weight.columns())}, DType::kU8);
      to.pack(values.data(), nullptr, weight.rows() * weight.columns() / to.block_elements,
              bytes.mutable_host_bytes());
      return ops::Weight(to, bytes, weight.columns());
    };
  }
  const std::string path = folder / "m.gguf";
  save_gguf(model, path, options);
  return path;
}

const ops::Weight& weight_at(nn::Model& model, const std::string& path) {
  return dynamic_cast<const nn::AffineLinear&>(*nn::module_at(model, path)).weight.weight();
}

TEST(Experts, OfAStackedTensorAreViewsOfTheFile) {
  const TemporaryFolder folder;
  for (const bool packed : {false, true}) {
    const OpenModel model = open_model(written(folder, qwen2_moe_config(), packed));
    EXPECT_EQ(model.family->name, "qwen2_moe");
    const std::string path = "layers.1.feed_forward.experts.";
    const ops::Weight& first = weight_at(*model.tree, path + "0.up_proj");
    EXPECT_EQ(first.is_packed(), packed);
    for (int expert = 1; expert < 4; ++expert)
      EXPECT_EQ(weight_at(*model.tree, fmt::format("{}{}.up_proj", path, expert)).storage().host_bytes(),
                first.storage().host_bytes() + expert * first.byte_count());
    EXPECT_EQ(weight_at(*model.tree, "layers.1.feed_forward.router").type_name(), "f32");
    EXPECT_EQ(weight_at(*model.tree, "layers.1.feed_forward.shared_expert_gate").type_name(), "f32");
  }
}

/// Copies a GGUF file with another value of a key.
std::string with_key(const TemporaryFolder& folder, const std::string& path, std::string_view key,
                     int64_t value) {
  const formats::GgufFile file(path);
  formats::GgufPairs pairs;
  for (const std::string_view each : file.metadata().keys())
    if (each != key) pairs.copy(each, file.metadata());
  pairs.integer(key, value);
  std::vector<formats::OutgoingGgufTensor> tensors;
  for (const std::string& name : file.tensors().names()) {
    const formats::StoredTensor& stored = file.tensors().info(name);
    tensors.push_back(
        {name, stored.shape, {.dtype = stored.dtype}, [name, &file] { return file.tensors().tensor(name); }});
  }
  std::string changed = folder / "changed.gguf";
  formats::write_gguf(changed, pairs, tensors);
  return changed;
}

TEST(Experts, AFileWhoseCountsDisagreeIsRefusedOnceATensor) {
  const TemporaryFolder folder;
  const std::string path = written(folder, qwen2_moe_config(), false);
  EXPECT_EQ(refusal(with_key(folder, path, "qwen2moe.expert_used_count", 3)), "it was opened");
  EXPECT_THAT(
      refusal(with_key(folder, path, "qwen2moe.expert_count", 5)),
      AllOf(
          HasSubstr("8 of the wrong shape"),
          HasSubstr("'blk.{0..1}.ffn_up_exps.weight' (shape [4, 32, 32], and the config says [5, 32, 32])")));
  EXPECT_THAT(refusal(with_key(folder, path, "qwen2moe.expert_used_count", 9)),
              HasSubstr("num_experts_per_tok is 9, more than the 4 experts"));
  EXPECT_THAT(refusal(with_key(folder, path, "qwen2moe.expert_count", 0)), HasSubstr("without experts"));
}

}  // namespace
}  // namespace martlet::models
