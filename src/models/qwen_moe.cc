// Qwen's families with sparse experts. `qwen2_moe` has an expert that all tokens go through, with a gate of
// its own; `qwen3_moe` has none, and norms of queries and keys. In both some layers may have a plain
// feed-forward. Qwen team, "Qwen2 Technical Report", 2024, and "Qwen3 Technical Report", 2025.
#include "models/qwen_moe.h"

#include <algorithm>

#include "models/expert_keys.h"
#include "models/gguf_config.h"
#include "models/llama_tree.h"

namespace martlet::models {
namespace {

/// Whether a layer has experts.
bool is_sparse(const Fields& config, int64_t layer) {
  if (const Json* plain = config.value("mlp_only_layers")) {
    const Json::Array& layers = plain->array();
    if (std::any_of(layers.begin(), layers.end(), [&](const Json& each) { return each.integer() == layer; }))
      return false;
  }
  return (layer + 1) % config.integer_within("decoder_sparse_step", 1, 1 << 20, 1) == 0;
}

nn::SparseExpertsShape shape_of(const Fields& config) {
  // The key goes by two names.
  const std::string_view count = config.has("num_local_experts") ? "num_local_experts" : "num_experts";
  nn::SparseExpertsShape shape = experts_shape(config, count, "moe_intermediate_size");
  shape.normalises = config.boolean("norm_topk_prob", false);
  return shape;
}

std::shared_ptr<nn::FeedForward> plain_feed_forward(const Fields& config) {
  const DecoderSizes sizes = decoder_sizes(config);
  return std::make_shared<nn::GatedFeedForward>(sizes.model.hidden_size, sizes.intermediate_size,
                                                nn::activation_named(config.text("hidden_act", "silu")),
                                                false);
}

std::shared_ptr<nn::FeedForward> qwen3_feed_forward(const Fields& config, int64_t layer) {
  if (!is_sparse(config, layer)) return plain_feed_forward(config);
  return std::make_shared<nn::SparseExperts>(shape_of(config));
}

std::shared_ptr<nn::FeedForward> qwen2_feed_forward(const Fields& config, int64_t layer) {
  if (!is_sparse(config, layer)) return plain_feed_forward(config);
  nn::SparseExpertsShape shape = shape_of(config);
  shape.shared_size = config.integer_within("shared_expert_intermediate_size", 1, int64_t{1} << 22, 5632);
  return std::make_shared<nn::SparseExperts>(shape);
}

/// Without `layer_types`, every other of the first `max_window_layers`.
bool qwen2_slides(const Fields& config, int64_t layer) {
  return config.boolean("use_sliding_window", false) && layer % 2 == 0 &&
         layer < config.integer("max_window_layers", 28);
}
bool qwen3_slides(const Fields& config, int64_t) {
  return config.boolean("use_sliding_window", false);
}

std::shared_ptr<nn::Model> build_qwen2(const Fields& config) {
  return build_llama_tree(config, {.qkv_bias = config.boolean("qkv_bias", true),
                                   .slides = qwen2_slides,
                                   .feed_forward = qwen2_feed_forward});
}

std::shared_ptr<nn::Model> build_qwen3(const Fields& config) {
  const bool bias = config.boolean("attention_bias", false);
  return build_llama_tree(config, {.qkv_bias = bias,
                                   .output_bias = bias,
                                   .head_norms = true,
                                   .slides = qwen3_slides,
                                   .feed_forward = qwen3_feed_forward});
}

/// How wide experts are; files made before there was a key for it leave that to the tensors.
void set_expert_sizes(const formats::GgufFile& file, Json& config) {
  const Shape& gate = file.tensors().info("blk.0.ffn_gate_exps.weight").shape;
  config.set("moe_intermediate_size", gate.rank() == 3 ? gate[1] : 0);
}

Json qwen2_from_gguf(const formats::GgufFile& file) {
  Json config = decoder_config_from_gguf(file, "qwen2_moe");
  experts_from_gguf(file, "num_experts", config);
  set_expert_sizes(file, config);
  config.set("qkv_bias", file.tensors().has("blk.0.attn_q.bias"));
  config.set("norm_topk_prob", false);
  config.set("shared_expert_intermediate_size",
             file.tensors().info("blk.0.ffn_gate_shexp.weight").shape.dim(0));
  return config;
}

Json qwen3_from_gguf(const formats::GgufFile& file) {
  Json config = decoder_config_from_gguf(file, "qwen3_moe");
  experts_from_gguf(file, "num_experts", config);
  set_expert_sizes(file, config);
  config.set("norm_topk_prob", true);
  return config;
}

/// What both write; the file form has layers with experts only.
void to_gguf(const Fields& config, std::string_view architecture, bool (*slides)(const Fields&, int64_t),
             GgufConfig& to) {
  const int64_t layers = decoder_sizes(config).model.layers;
  for (int64_t layer = 0; layer < layers; ++layer)
    if (!is_sparse(config, layer))
      bad_input("{}: layer {} has no experts; in GGUF files of {} every layer has", config.source(), layer,
                architecture);
  llama_config_to_gguf(config, architecture, slides, to);
  experts_to_gguf(shape_of(config), architecture, to);
}

void qwen2_to_gguf(const Fields& config, GgufConfig& to) {
  require_flag(config, "qwen2moe", "qkv_bias", true, true);
  require_flag(config, "qwen2moe", "norm_topk_prob", false, false);
  to_gguf(config, "qwen2moe", qwen2_slides, to);
  to.pairs.integer("qwen2moe.expert_shared_feed_forward_length",
                   config.integer("shared_expert_intermediate_size", 5632));
}

void qwen3_to_gguf(const Fields& config, GgufConfig& to) {
  require_flag(config, "qwen3moe", "attention_bias", false, false);
  require_flag(config, "qwen3moe", "norm_topk_prob", false, true);
  to_gguf(config, "qwen3moe", qwen3_slides, to);
}

constexpr std::array<WeightName, 8> kExpertNames = {{
    {"layers.{}.feed_forward.router.weight", "model.layers.{}.mlp.gate.weight", "blk.{}.ffn_gate_inp.weight"},
    {"layers.{}.feed_forward.experts.{}.gate_proj.weight", "model.layers.{}.mlp.experts.{}.gate_proj.weight",
     "blk.{}.ffn_gate_exps.weight", Stored::kAsIs, Stored::kStacked},
    {"layers.{}.feed_forward.experts.{}.up_proj.weight", "model.layers.{}.mlp.experts.{}.up_proj.weight",
     "blk.{}.ffn_up_exps.weight", Stored::kAsIs, Stored::kStacked},
    {"layers.{}.feed_forward.experts.{}.down_proj.weight", "model.layers.{}.mlp.experts.{}.down_proj.weight",
     "blk.{}.ffn_down_exps.weight", Stored::kAsIs, Stored::kStacked},
    {"layers.{}.feed_forward.shared_expert.gate_proj.weight",
     "model.layers.{}.mlp.shared_expert.gate_proj.weight", "blk.{}.ffn_gate_shexp.weight"},
    {"layers.{}.feed_forward.shared_expert.up_proj.weight",
     "model.layers.{}.mlp.shared_expert.up_proj.weight", "blk.{}.ffn_up_shexp.weight"},
    {"layers.{}.feed_forward.shared_expert.down_proj.weight",
     "model.layers.{}.mlp.shared_expert.down_proj.weight", "blk.{}.ffn_down_shexp.weight"},
    {"layers.{}.feed_forward.shared_expert_gate.weight", "model.layers.{}.mlp.shared_expert_gate.weight",
     "blk.{}.ffn_gate_inp_shexp.weight", Stored::kAsIs, Stored::kRow},
}};
constexpr auto kWeights = joined_names(
    joined_names(llama_names_but_feed_forward(Stored::kAsIs), kLlamaFeedForwardNames), kExpertNames);

}  // namespace

const Family kQwen2Moe{.name = "qwen2_moe",
                       .gguf_architecture = "qwen2moe",
                       .build = build_qwen2,
                       .config_from_gguf = qwen2_from_gguf,
                       .weights = kWeights,
                       .prefixes = kLlamaPrefixes,
                       .ignored = kLlamaIgnored,
                       .transformers_class = "Qwen2MoeForCausalLM",
                       .config_to_gguf = qwen2_to_gguf,
                       .has_experts = true};
const Family kQwen3Moe{.name = "qwen3_moe",
                       .gguf_architecture = "qwen3moe",
                       .build = build_qwen3,
                       .config_from_gguf = qwen3_from_gguf,
                       .weights = kWeights,
                       .prefixes = kLlamaPrefixes,
                       .ignored = kLlamaIgnored,
                       .transformers_class = "Qwen3MoeForCausalLM",
                       .config_to_gguf = qwen3_to_gguf,
                       .has_experts = true};

}  // namespace martlet::models
