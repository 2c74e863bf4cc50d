#pragma once

// What weights are called in files of all Gemmas. GGUF files hold norms with their offset of 1 added.

#include <array>

#include "models/family.h"

namespace martlet::models {

/// The norm before the feed-forward goes by another name in the first; lines that one has no use for do no
/// harm.
constexpr std::array<WeightName, 20> gemma_names(std::string_view feed_forward_norm) {
  return {{
      {"embed_tokens.weight", "model.embed_tokens.weight", "token_embd.weight"},
      {"layers.{}.attention_norm.weight", "model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight",
       Stored::kAsIs, Stored::kPlusOne},
      {"layers.{}.attention.q_proj.weight", "model.layers.{}.self_attn.q_proj.weight",
       "blk.{}.attn_q.weight"},
      {"layers.{}.attention.q_proj.bias", "model.layers.{}.self_attn.q_proj.bias", ""},
      {"layers.{}.attention.k_proj.weight", "model.layers.{}.self_attn.k_proj.weight",
       "blk.{}.attn_k.weight"},
      {"layers.{}.attention.k_proj.bias", "model.layers.{}.self_attn.k_proj.bias", ""},
      {"layers.{}.attention.v_proj.weight", "model.layers.{}.self_attn.v_proj.weight",
       "blk.{}.attn_v.weight"},
      {"layers.{}.attention.v_proj.bias", "model.layers.{}.self_attn.v_proj.bias", ""},
      {"layers.{}.attention.o_proj.weight", "model.layers.{}.self_attn.o_proj.weight",
       "blk.{}.attn_output.weight"},
      {"layers.{}.attention.o_proj.bias", "model.layers.{}.self_attn.o_proj.bias", ""},
      {"layers.{}.attention.q_norm.weight", "model.layers.{}.self_attn.q_norm.weight",
       "blk.{}.attn_q_norm.weight", Stored::kAsIs, Stored::kPlusOne},
      {"layers.{}.attention.k_norm.weight", "model.layers.{}.self_attn.k_norm.weight",
       "blk.{}.attn_k_norm.weight", Stored::kAsIs, Stored::kPlusOne},
      {"layers.{}.attention_post_norm.weight", "model.layers.{}.post_attention_layernorm.weight",
       "blk.{}.post_attention_norm.weight", Stored::kAsIs, Stored::kPlusOne},
      {"layers.{}.feed_forward_norm.weight", feed_forward_norm, "blk.{}.ffn_norm.weight", Stored::kAsIs,
       Stored::kPlusOne},
      {"layers.{}.feed_forward.gate_proj.weight", "model.layers.{}.mlp.gate_proj.weight",
       "blk.{}.ffn_gate.weight"},
      {"layers.{}.feed_forward.up_proj.weight", "model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"},
      {"layers.{}.feed_forward.down_proj.weight", "model.layers.{}.mlp.down_proj.weight",
       "blk.{}.ffn_down.weight"},
      {"layers.{}.feed_forward_post_norm.weight", "model.layers.{}.post_feedforward_layernorm.weight",
       "blk.{}.post_ffw_norm.weight", Stored::kAsIs, Stored::kPlusOne},
      {"norm.weight", "model.norm.weight", "output_norm.weight", Stored::kAsIs, Stored::kPlusOne},
      {"lm_head.weight", "lm_head.weight", "output.weight"},
  }};
}
}  // namespace martlet::models
