// The LLaMA family: RMSNorm before attention and feed-forward, rotary positions, grouped key/value heads,
// SwiGLU. Touvron et al., "LLaMA", 2023; Jiang et al., "Mistral 7B", 2023; Yang et al., "Qwen2" and "Qwen3",
// 2024 and 2025; Hu et al., "MiniCPM", 2024.
#include "models/llama.h"

#include <array>
#include <cmath>

#include "models/config_keys.h"
#include "models/gguf_config.h"
#include "nn/decoder.h"

namespace martlet::models {
namespace {

/// Where the members of the family differ.
struct Variant {
  bool qkv_bias = false;
  bool output_bias = false;
  bool head_norms = false;
  float embedding_scale = 1;
  float residual_scale = 1;
  float logit_scale = 1;
  bool (*slides)(const Fields&, int64_t layer);
  bool (*rotates)(const Fields&, int64_t layer);
};

bool never(const Fields&, int64_t) {
  return false;
}
bool always(const Fields&, int64_t) {
  return true;
}

std::shared_ptr<nn::Model> build_with(const Fields& config, const Variant& variant) {
  DecoderSizes sizes = decoder_sizes(config);
  sizes.attention.qkv_bias = variant.qkv_bias;
  sizes.attention.output_bias = variant.output_bias;
  const bool mlp_bias = config.boolean("mlp_bias", false);
  const double epsilon = norm_epsilon(config, "rms_norm_eps", 1e-6);
  const ops::Unary activation = nn::activation_named(config.text("hidden_act", "silu"));
  const int64_t hidden_size = sizes.model.hidden_size;
  const int64_t head_dim = sizes.attention.head_dim;
  const auto rope = rope_scaling(config, head_dim, sizes.model.max_positions);
  const int64_t window = config.integer_within("sliding_window", 1, int64_t{1} << 31, 0);
  const auto windows = layer_windows(config, sizes.model.layers, window, variant.slides);

  auto model = std::make_shared<nn::DecoderModel>(
      sizes.model,
      nn::DecoderOptions{.embedding_scale = variant.embedding_scale, .logit_scale = variant.logit_scale});
  const auto table = std::make_shared<nn::TableEmbedding>(sizes.model.vocabulary_size, hidden_size);
  model->embed_tokens.set(table);
  for (int64_t layer = 0; layer < sizes.model.layers; ++layer) {
    const ops::AttentionOptions options{.scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                                        .window = windows[static_cast<size_t>(layer)]};
    const auto attention =
        std::make_shared<nn::Attention>(sizes.attention, variant.rotates(config, layer) ? rope : nullptr,
                                        std::make_shared<nn::SoftmaxAttention>(layer, options));
    if (variant.head_norms) {
      attention->q_norm.set(std::make_shared<nn::RmsNorm>(head_dim, epsilon));
      attention->k_norm.set(std::make_shared<nn::RmsNorm>(head_dim, epsilon));
    }
    model->layers->push_back(std::make_shared<nn::DecoderBlock>(
        std::make_shared<nn::RmsNorm>(hidden_size, epsilon), attention,
        std::make_shared<nn::RmsNorm>(hidden_size, epsilon),
        std::make_shared<nn::GatedFeedForward>(hidden_size, sizes.intermediate_size, activation, mlp_bias),
        variant.residual_scale));
  }
  model->norm.set(std::make_shared<nn::RmsNorm>(hidden_size, epsilon));
  const auto head = std::make_shared<nn::AffineLinear>(hidden_size, sizes.model.vocabulary_size, false);
  if (config.boolean("tie_word_embeddings", false)) head->weight.tie(table->weight);
  model->lm_head.set(head);
  return model;
}

std::shared_ptr<nn::Model> build_llama(const Fields& config) {
  const bool bias = config.boolean("attention_bias", false);
  return build_with(config, {.qkv_bias = bias, .output_bias = bias, .slides = never, .rotates = always});
}

std::shared_ptr<nn::Model> build_mistral(const Fields& config) {
  return build_with(config, {.slides = always, .rotates = always});
}

bool qwen_slides(const Fields& config, int64_t layer) {
  return config.boolean("use_sliding_window", false) && layer >= config.integer("max_window_layers", 28);
}

std::shared_ptr<nn::Model> build_qwen2(const Fields& config) {
  return build_with(config, {.qkv_bias = true, .slides = qwen_slides, .rotates = always});
}

std::shared_ptr<nn::Model> build_qwen3(const Fields& config) {
  const bool bias = config.boolean("attention_bias", false);
  return build_with(
      config,
      {.qkv_bias = bias, .output_bias = bias, .head_norms = true, .slides = qwen_slides, .rotates = always});
}

/// `no_rope_layers` has a 1 for every layer that rotates; without it every fourth layer does not.
bool smollm3_rotates(const Fields& config, int64_t layer) {
  if (const Json* rotating = config.value("no_rope_layers")) {
    const Json::Array& layers = rotating->array();
    if (static_cast<size_t>(layer) >= layers.size())
      bad_input("{}: no_rope_layers has {} entries and there is a layer {}", config.source(), layers.size(),
                layer);
    return layers[static_cast<size_t>(layer)].integer() != 0;
  }
  return (layer + 1) % config.integer_within("no_rope_layer_interval", 1, 1 << 20, 4) != 0;
}

std::shared_ptr<nn::Model> build_smollm3(const Fields& config) {
  const bool bias = config.boolean("attention_bias", false);
  return build_with(
      config, {.qkv_bias = bias, .output_bias = bias, .slides = qwen_slides, .rotates = smollm3_rotates});
}

std::shared_ptr<nn::Model> build_minicpm(const Fields& config) {
  const auto layers = static_cast<double>(config.integer_within("num_hidden_layers", 1, 4096));
  const auto hidden_size = static_cast<double>(config.integer("hidden_size"));
  return build_with(
      config, {.embedding_scale = static_cast<float>(config.real("scale_emb", 1.0)),
               .residual_scale = static_cast<float>(config.real("scale_depth", 1.0) / std::sqrt(layers)),
               .logit_scale = static_cast<float>(config.real("dim_model_base", hidden_size) / hidden_size),
               .slides = never,
               .rotates = always});
}

/// The file form has no keys for biases: they are there or not.
Json gguf_with_biases(const formats::GgufFile& file, std::string_view model_type) {
  Json config = decoder_config_from_gguf(file, model_type);
  config.set("attention_bias", file.tensors().has("blk.0.attn_q.bias"));
  config.set("mlp_bias", file.tensors().has("blk.0.ffn_gate.bias"));
  return config;
}
Json gguf_llama(const formats::GgufFile& file) {
  return gguf_with_biases(file, "llama");
}
Json gguf_qwen2(const formats::GgufFile& file) {
  return decoder_config_from_gguf(file, "qwen2");
}
Json gguf_qwen3(const formats::GgufFile& file) {
  return gguf_with_biases(file, "qwen3");
}
Json gguf_smollm3(const formats::GgufFile& file) {
  return gguf_with_biases(file, "smollm3");
}

Json gguf_minicpm(const formats::GgufFile& file) {
  Json config = decoder_config_from_gguf(file, "minicpm");
  const formats::GgufMetadata& metadata = file.metadata();
  const auto layers = static_cast<double>(config.at("num_hidden_layers").integer());
  const auto hidden_size = static_cast<double>(config.at("hidden_size").integer());
  config.set("scale_emb", metadata.real("minicpm.embedding_scale", 12.0));
  config.set("scale_depth",
             metadata.real("minicpm.residual_scale", 1.4 / std::sqrt(layers)) * std::sqrt(layers));
  config.set("dim_model_base", hidden_size / metadata.real("minicpm.logit_scale", hidden_size / 256.0));
  return config;
}

constexpr std::string_view kSilu[] = {"silu"};

/// What every member writes. Windows have no key: the file's context is as long as they are at most.
void to_gguf(const Fields& config, std::string_view architecture, bool (*slides)(const Fields&, int64_t),
             GgufConfig& to) {
  require_text(config, architecture, "hidden_act", "silu", kSilu);
  decoder_config_to_gguf(config, architecture, to);
  const DecoderSizes sizes = decoder_sizes(config);
  const int64_t window = config.integer_within("sliding_window", 1, int64_t{1} << 31, 0);
  const auto windows = layer_windows(config, sizes.model.layers, window, slides);
  to.pairs.integer(fmt::format("{}.context_length", architecture),
                   context_within(sizes.model.max_positions, windows));
}

void llama_to_gguf(const Fields& config, GgufConfig& to) {
  to_gguf(config, "llama", never, to);
}
void mistral_to_gguf(const Fields& config, GgufConfig& to) {
  to_gguf(config, "llama", always, to);
}
void qwen2_to_gguf(const Fields& config, GgufConfig& to) {
  to_gguf(config, "qwen2", qwen_slides, to);
}
void qwen3_to_gguf(const Fields& config, GgufConfig& to) {
  require_flag(config, "qwen3", "attention_bias", false, false);
  to_gguf(config, "qwen3", qwen_slides, to);
}

void smollm3_to_gguf(const Fields& config, GgufConfig& to) {
  require_flag(config, "smollm3", "attention_bias", false, false);
  require_flag(config, "smollm3", "mlp_bias", false, false);
  const int64_t layers = config.integer_within("num_hidden_layers", 1, 4096);
  for (int64_t layer = 0; layer < layers; ++layer)
    if (smollm3_rotates(config, layer) != ((layer + 1) % 4 != 0))
      bad_input("{}: layer {} {} positions; GGUF files of smollm3 rotate all layers but every fourth",
                config.source(), layer, smollm3_rotates(config, layer) ? "rotates" : "does not rotate");
  to_gguf(config, "smollm3", qwen_slides, to);
}

void minicpm_to_gguf(const Fields& config, GgufConfig& to) {
  to_gguf(config, "minicpm", never, to);
  const auto layers = static_cast<double>(config.integer_within("num_hidden_layers", 1, 4096));
  const auto hidden_size = static_cast<double>(config.integer("hidden_size"));
  to.pairs.real("minicpm.embedding_scale", config.real("scale_emb", 1.0))
      .real("minicpm.residual_scale", config.real("scale_depth", 1.0) / std::sqrt(layers))
      .real("minicpm.logit_scale", hidden_size / config.real("dim_model_base", hidden_size));
}

/// GGUF files of `llama`, `smollm3` and `minicpm` store q and k for rotary pairs of neighbours; `q_and_k`
/// says so.
constexpr std::array<WeightName, 21> weight_names(Stored q_and_k) {
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
      {"layers.{}.feed_forward.gate_proj.weight", "model.layers.{}.mlp.gate_proj.weight",
       "blk.{}.ffn_gate.weight"},
      {"layers.{}.feed_forward.gate_proj.bias", "model.layers.{}.mlp.gate_proj.bias", "blk.{}.ffn_gate.bias"},
      {"layers.{}.feed_forward.up_proj.weight", "model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"},
      {"layers.{}.feed_forward.up_proj.bias", "model.layers.{}.mlp.up_proj.bias", "blk.{}.ffn_up.bias"},
      {"layers.{}.feed_forward.down_proj.weight", "model.layers.{}.mlp.down_proj.weight",
       "blk.{}.ffn_down.weight"},
      {"layers.{}.feed_forward.down_proj.bias", "model.layers.{}.mlp.down_proj.bias", "blk.{}.ffn_down.bias"},
      {"norm.weight", "model.norm.weight", "output_norm.weight"},
      {"lm_head.weight", "lm_head.weight", "output.weight"},
  }};
}

constexpr auto kWeights = weight_names(Stored::kAsIs);
constexpr auto kInterleavedWeights = weight_names(Stored::kInterleavedHeads);
constexpr std::string_view kPrefixes[] = {"model."};
constexpr std::string_view kIgnored[] = {"**.rotary_emb.inv_freq", "rope_freqs.weight",
                                         "rope_factors_*.weight"};

}  // namespace

const Family kLlama{"llama",   "llama",  build_llama,        gguf_llama,   kInterleavedWeights,
                    kPrefixes, kIgnored, "LlamaForCausalLM", llama_to_gguf};
const Family kMistral{"mistral", "",       build_mistral,        nullptr,         kWeights,
                      kPrefixes, kIgnored, "MistralForCausalLM", mistral_to_gguf, &kLlama};
const Family kQwen2{"qwen2",   "qwen2",  build_qwen2,        gguf_qwen2,   kWeights,
                    kPrefixes, kIgnored, "Qwen2ForCausalLM", qwen2_to_gguf};
const Family kQwen3{"qwen3",   "qwen3",  build_qwen3,        gguf_qwen3,   kWeights,
                    kPrefixes, kIgnored, "Qwen3ForCausalLM", qwen3_to_gguf};
const Family kSmolLm3{"smollm3", "smollm3", build_smollm3,        gguf_smollm3,   kInterleavedWeights,
                      kPrefixes, kIgnored,  "SmolLM3ForCausalLM", smollm3_to_gguf};
const Family kMiniCpm{"minicpm", "minicpm", build_minicpm,        gguf_minicpm,   kInterleavedWeights,
                      kPrefixes, kIgnored,  "MiniCPMForCausalLM", minicpm_to_gguf};

}  // namespace martlet::models
