// Phi-3 and Phi-4-mini: LLaMA's arithmetic, with q, k and v stored as one matrix, and gate and up as another.
// Abdin et al., "Phi-3 Technical Report", 2024; its long contexts: Ding et al., "LongRoPE", 2024.
#include "models/phi3.h"

#include "models/gguf_config.h"
#include "models/llama_tree.h"

namespace martlet::models {
namespace {

/// First releases called its rotation by other names, which mean something else elsewhere.
void check_rotation(const Fields& config) {
  for (const std::string_view key : {"rope_parameters", "rope_scaling"}) {
    const Json* table = config.value(key);
    if (table == nullptr || !table->is_object()) continue;
    const Fields rope(*table, config.source() + ": " + std::string(key));
    const std::string kind = rope.text("rope_type", rope.text("type", "default"));
    if (kind != "default" && kind != "longrope" && kind != "su")
      bad_input("{}: the rope type of a phi3 model must be default or longrope, got \"{}\"", config.source(),
                kind);
  }
}

std::shared_ptr<nn::Model> build(const Fields& config) {
  check_rotation(config);
  return build_llama_tree(config, {.slides = every_layer});
}

Json config_from_gguf(const formats::GgufFile& file) {
  Json config = decoder_config_from_gguf(file, "phi3", true);
  // 0 says that there is none.
  if (const Json* window = config.find("sliding_window"); window != nullptr && window->integer() == 0)
    config.set("sliding_window", nullptr);
  return config;
}

constexpr std::string_view kSilu[] = {"silu"};

void config_to_gguf(const Fields& config, GgufConfig& to) {
  require_text(config, "phi3", "hidden_act", "silu", kSilu);
  decoder_config_to_gguf(config, "phi3", to, {}, true);
  // Readers know the key of the window and do not heed it.
  const DecoderSizes sizes = decoder_sizes(config);
  const int64_t window = config.integer_within("sliding_window", 0, int64_t{1} << 31, 0);
  to.pairs.integer("phi3.context_length", context_within(sizes.model.max_positions, std::span(&window, 1)))
      .integer("phi3.attention.sliding_window", window);
}

constexpr WeightName kWeights[] = {
    {"embed_tokens.weight", "model.embed_tokens.weight", "token_embd.weight"},
    {"layers.{}.attention_norm.weight", "model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight"},
    {"layers.{}.attention.q_proj.weight", "model.layers.{}.self_attn.qkv_proj.weight",
     "blk.{}.attn_qkv.weight", Stored::kJoined, Stored::kJoined},
    {"layers.{}.attention.k_proj.weight", "model.layers.{}.self_attn.qkv_proj.weight",
     "blk.{}.attn_qkv.weight", Stored::kJoined, Stored::kJoined},
    {"layers.{}.attention.v_proj.weight", "model.layers.{}.self_attn.qkv_proj.weight",
     "blk.{}.attn_qkv.weight", Stored::kJoined, Stored::kJoined},
    {"layers.{}.attention.o_proj.weight", "model.layers.{}.self_attn.o_proj.weight",
     "blk.{}.attn_output.weight"},
    {"layers.{}.feed_forward_norm.weight", "model.layers.{}.post_attention_layernorm.weight",
     "blk.{}.ffn_norm.weight"},
    {"layers.{}.feed_forward.gate_proj.weight", "model.layers.{}.mlp.gate_up_proj.weight",
     "blk.{}.ffn_up.weight", Stored::kJoined, Stored::kJoined},
    {"layers.{}.feed_forward.up_proj.weight", "model.layers.{}.mlp.gate_up_proj.weight",
     "blk.{}.ffn_up.weight", Stored::kJoined, Stored::kJoined},
    {"layers.{}.feed_forward.down_proj.weight", "model.layers.{}.mlp.down_proj.weight",
     "blk.{}.ffn_down.weight"},
    {"norm.weight", "model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "lm_head.weight", "output.weight"},
};

}  // namespace

const Family kPhi3{"phi3",        "phi3",         build,         config_from_gguf,
                   kWeights,      kLlamaPrefixes, kLlamaIgnored, "Phi3ForCausalLM",
                   config_to_gguf};

}  // namespace martlet::models
