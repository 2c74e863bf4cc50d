#pragma once

// What LLaMA and its relatives share: the tree, the names of the weights, the keys of GGUF files.

#include <array>

#include "models/config_keys.h"
#include "models/family.h"

namespace martlet::models {

/// Where the relatives differ.
struct LlamaVariant {
  bool qkv_bias = false;
  bool output_bias = false;
  bool head_norms = false;
  float embedding_scale = 1;
  float residual_scale = 1;
  float logit_scale = 1;
  bool (*slides)(const Fields&, int64_t layer) = nullptr;   ///< null: no layer does
  bool (*rotates)(const Fields&, int64_t layer) = nullptr;  ///< null: every layer does
  /// Null: a gated feed-forward of `intermediate_size`.
  std::shared_ptr<nn::FeedForward> (*feed_forward)(const Fields&, int64_t layer) = nullptr;
};

/// RMSNorm before attention and feed-forward, rotary positions, grouped key/value heads.
std::shared_ptr<nn::Model> build_llama_tree(const Fields& config, const LlamaVariant& variant);

/// For `LlamaVariant::slides`: all layers; those that Qwen's keys say.
bool every_layer(const Fields& config, int64_t layer);
bool qwen_slides(const Fields& config, int64_t layer);

/// What every relative writes into a GGUF file. Windows have no key: the file's context is as long as they
/// are at most. `slides` may be null.
void llama_config_to_gguf(const Fields& config, std::string_view architecture,
                          bool (*slides)(const Fields&, int64_t), GgufConfig& to);
/// `decoder_config_from_gguf` with the biases, for which the file form has no keys: they are there or not.
Json llama_config_from_gguf(const formats::GgufFile& file, std::string_view model_type);

inline constexpr std::string_view kLlamaPrefixes[] = {"model."};
inline constexpr std::string_view kLlamaIgnored[] = {"**.rotary_emb.inv_freq", "rope_freqs.weight",
                                                     "rope_factors_*.weight"};

/// Names outside the feed-forward. GGUF files of some store q and k for rotary pairs of neighbours; `q_and_k`
/// says so.
constexpr std::array<WeightName, 15> llama_names_but_feed_forward(Stored q_and_k) {
  return {{
      {"embed_tokens.weight", "model.embed_tokens.weight", "token_embd.weight"},
      {"layers.{}.attention_norm.weight", "model.layers.{}.input_layernorm.weight",
       "blk.{}.attn_norm.weight"},
      {"layers.{}.attention.q_proj.weight", "model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight",
       Stored::kAsIs, q_and_k},
      {"layers.{}.attention.q_proj.bias", "model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias",
       Stored::kAsIs, q_and_k},
      {"layers.{}.attention.k_proj.weight", "model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight",
       Stored::kAsIs, q_and_k},
      {"layers.{}.attention.k_proj.bias", "model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias",
       Stored::kAsIs, q_and_k},
      {"layers.{}.attention.v_proj.weight", "model.layers.{}.self_attn.v_proj.weight",
       "blk.{}.attn_v.weight"},
      {"layers.{}.attention.v_proj.bias", "model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias"},
      {"layers.{}.attention.o_proj.weight", "model.layers.{}.self_attn.o_proj.weight",
       "blk.{}.attn_output.weight"},
      {"layers.{}.attention.o_proj.bias", "model.layers.{}.self_attn.o_proj.bias", "blk.{}.attn_output.bias"},
      {"layers.{}.attention.q_norm.weight", "model.layers.{}.self_attn.q_norm.weight",
       "blk.{}.attn_q_norm.weight"},
      {"layers.{}.attention.k_norm.weight", "model.layers.{}.self_attn.k_norm.weight",
       "blk.{}.attn_k_norm.weight"},
      {"layers.{}.feed_forward_norm.weight", "model.layers.{}.post_attention_layernorm.weight",
       "blk.{}.ffn_norm.weight"},
      {"norm.weight", "model.norm.weight", "output_norm.weight"},
      {"lm_head.weight", "lm_head.weight", "output.weight"},
  }};
}
/// Those of a gated feed-forward.
inline constexpr std::array<WeightName, 6> kLlamaFeedForwardNames = {{
    {"layers.{}.feed_forward.gate_proj.weight", "model.layers.{}.mlp.gate_proj.weight",
     "blk.{}.ffn_gate.weight"},
    {"layers.{}.feed_forward.gate_proj.bias", "model.layers.{}.mlp.gate_proj.bias", "blk.{}.ffn_gate.bias"},
    {"layers.{}.feed_forward.up_proj.weight", "model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"},
    {"layers.{}.feed_forward.up_proj.bias", "model.layers.{}.mlp.up_proj.bias", "blk.{}.ffn_up.bias"},
    {"layers.{}.feed_forward.down_proj.weight", "model.layers.{}.mlp.down_proj.weight",
     "blk.{}.ffn_down.weight"},
    {"layers.{}.feed_forward.down_proj.bias", "model.layers.{}.mlp.down_proj.bias", "blk.{}.ffn_down.bias"},
}};

/// Tables joined to one.
template <size_t kA, size_t kB>
constexpr std::array<WeightName, kA + kB> joined_names(const std::array<WeightName, kA>& a,
                                                       const std::array<WeightName, kB>& b) {
  std::array<WeightName, kA + kB> all{};
  for (size_t i = 0; i < kA; ++i) all[i] = a[i];
  for (size_t i = 0; i < kB; ++i) all[kA + i] = b[i];
  return all;
}

}  // namespace martlet::models
