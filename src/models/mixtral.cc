// Mixtral: Mistral with eight experts in the place of each feed-forward, of which every token goes through
// two. Jiang et al., "Mixtral of Experts", 2024.
#include "models/mixtral.h"

#include "models/expert_keys.h"
#include "models/gguf_config.h"
#include "models/llama_tree.h"

namespace martlet::models {
namespace {

nn::SparseExpertsShape shape_of(const Fields& config) {
  return experts_shape(config, "num_local_experts", "intermediate_size");
}

std::shared_ptr<nn::FeedForward> feed_forward(const Fields& config, int64_t) {
  return std::make_shared<nn::SparseExperts>(shape_of(config));
}

std::shared_ptr<nn::Model> build(const Fields& config) {
  return build_llama_tree(config, {.slides = every_layer, .feed_forward = feed_forward});
}

Json config_from_gguf(const formats::GgufFile& file) {
  Json config = decoder_config_from_gguf(file, "mixtral");
  experts_from_gguf(file, "num_local_experts", config);
  return config;
}

void config_to_gguf(const Fields& config, GgufConfig& to) {
  llama_config_to_gguf(config, "llama", every_layer, to);
  experts_to_gguf(shape_of(config), "llama", to);
}

constexpr std::array<WeightName, 4> kExpertNames = {{
    {"layers.{}.feed_forward.router.weight", "model.layers.{}.block_sparse_moe.gate.weight",
     "blk.{}.ffn_gate_inp.weight"},
    {"layers.{}.feed_forward.experts.{}.gate_proj.weight",
     "model.layers.{}.block_sparse_moe.experts.{}.w1.weight", "blk.{}.ffn_gate_exps.weight", Stored::kAsIs,
     Stored::kStacked},
    {"layers.{}.feed_forward.experts.{}.up_proj.weight",
     "model.layers.{}.block_sparse_moe.experts.{}.w3.weight", "blk.{}.ffn_up_exps.weight", Stored::kAsIs,
     Stored::kStacked},
    {"layers.{}.feed_forward.experts.{}.down_proj.weight",
     "model.layers.{}.block_sparse_moe.experts.{}.w2.weight", "blk.{}.ffn_down_exps.weight", Stored::kAsIs,
     Stored::kStacked},
}};
constexpr auto kWeights = joined_names(llama_names_but_feed_forward(Stored::kInterleavedHeads), kExpertNames);

}  // namespace

const Family kMixtral{.name = "mixtral",
                      .gguf_architecture = "llama",
                      .build = build,
                      .config_from_gguf = config_from_gguf,
                      .weights = kWeights,
                      .prefixes = kLlamaPrefixes,
                      .ignored = kLlamaIgnored,
                      .transformers_class = "MixtralForCausalLM",
                      .config_to_gguf = config_to_gguf,
                      .has_experts = true};

}  // namespace martlet::models
