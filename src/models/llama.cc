// The LLaMA family: RMSNorm before attention and feed-forward, rotary positions, grouped key/value heads,
// SwiGLU. Touvron et al., "LLaMA", 2023; Jiang et al., "Mistral 7B", 2023; Yang et al., "Qwen2" and "Qwen3",
// 2024 and 2025; Hu et al., "MiniCPM", 2024.
#include "models/llama.h"

#include <cmath>

#include "models/gguf_config.h"
#include "models/llama_tree.h"

namespace martlet::models {
namespace {

std::shared_ptr<nn::Model> build_llama(const Fields& config) {
  const bool bias = config.boolean("attention_bias", false);
  return build_llama_tree(config, {.qkv_bias = bias, .output_bias = bias});
}

std::shared_ptr<nn::Model> build_mistral(const Fields& config) {
  return build_llama_tree(config, {.slides = every_layer});
}

std::shared_ptr<nn::Model> build_qwen2(const Fields& config) {
  return build_llama_tree(config, {.qkv_bias = true, .slides = qwen_slides});
}

std::shared_ptr<nn::Model> build_qwen3(const Fields& config) {
  const bool bias = config.boolean("attention_bias", false);
  return build_llama_tree(config,
                          {.qkv_bias = bias, .output_bias = bias, .head_norms = true, .slides = qwen_slides});
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
  return build_llama_tree(
      config, {.qkv_bias = bias, .output_bias = bias, .slides = qwen_slides, .rotates = smollm3_rotates});
}

std::shared_ptr<nn::Model> build_minicpm(const Fields& config) {
  const auto layers = static_cast<double>(config.integer_within("num_hidden_layers", 1, 4096));
  const auto hidden_size = static_cast<double>(config.integer("hidden_size"));
  return build_llama_tree(
      config, {.embedding_scale = static_cast<float>(config.real("scale_emb", 1.0)),
               .residual_scale = static_cast<float>(config.real("scale_depth", 1.0) / std::sqrt(layers)),
               .logit_scale = static_cast<float>(config.real("dim_model_base", hidden_size) / hidden_size)});
}

Json gguf_llama(const formats::GgufFile& file) {
  return llama_config_from_gguf(file, "llama");
}
Json gguf_qwen2(const formats::GgufFile& file) {
  return decoder_config_from_gguf(file, "qwen2");
}
Json gguf_qwen3(const formats::GgufFile& file) {
  return llama_config_from_gguf(file, "qwen3");
}
Json gguf_smollm3(const formats::GgufFile& file) {
  return llama_config_from_gguf(file, "smollm3");
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

void llama_to_gguf(const Fields& config, GgufConfig& to) {
  llama_config_to_gguf(config, "llama", nullptr, to);
}
void mistral_to_gguf(const Fields& config, GgufConfig& to) {
  llama_config_to_gguf(config, "llama", every_layer, to);
}
void qwen2_to_gguf(const Fields& config, GgufConfig& to) {
  llama_config_to_gguf(config, "qwen2", qwen_slides, to);
}
void qwen3_to_gguf(const Fields& config, GgufConfig& to) {
  require_flag(config, "qwen3", "attention_bias", false, false);
  llama_config_to_gguf(config, "qwen3", qwen_slides, to);
}

void smollm3_to_gguf(const Fields& config, GgufConfig& to) {
  require_flag(config, "smollm3", "attention_bias", false, false);
  require_flag(config, "smollm3", "mlp_bias", false, false);
  const int64_t layers = config.integer_within("num_hidden_layers", 1, 4096);
  for (int64_t layer = 0; layer < layers; ++layer)
    if (smollm3_rotates(config, layer) != ((layer + 1) % 4 != 0))
      bad_input("{}: layer {} {} positions; GGUF files of smollm3 rotate all layers but every fourth",
                config.source(), layer, smollm3_rotates(config, layer) ? "rotates" : "does not rotate");
  llama_config_to_gguf(config, "smollm3", qwen_slides, to);
}

void minicpm_to_gguf(const Fields& config, GgufConfig& to) {
  llama_config_to_gguf(config, "minicpm", nullptr, to);
  const auto layers = static_cast<double>(config.integer_within("num_hidden_layers", 1, 4096));
  const auto hidden_size = static_cast<double>(config.integer("hidden_size"));
  to.pairs.real("minicpm.embedding_scale", config.real("scale_emb", 1.0))
      .real("minicpm.residual_scale", config.real("scale_depth", 1.0) / std::sqrt(layers))
      .real("minicpm.logit_scale", hidden_size / config.real("dim_model_base", hidden_size));
}

constexpr auto kWeights = joined_names(llama_names_but_feed_forward(Stored::kAsIs), kLlamaFeedForwardNames);
constexpr auto kInterleavedWeights =
    joined_names(llama_names_but_feed_forward(Stored::kInterleavedHeads), kLlamaFeedForwardNames);

}  // namespace

const Family kLlama{"llama",        "llama",       build_llama,        gguf_llama,   kInterleavedWeights,
                    kLlamaPrefixes, kLlamaIgnored, "LlamaForCausalLM", llama_to_gguf};
const Family kMistral{"mistral",       "",
                      build_mistral,   nullptr,
                      kWeights,        kLlamaPrefixes,
                      kLlamaIgnored,   "MistralForCausalLM",
                      mistral_to_gguf, &kLlama};
const Family kQwen2{"qwen2",        "qwen2",       build_qwen2,        gguf_qwen2,   kWeights,
                    kLlamaPrefixes, kLlamaIgnored, "Qwen2ForCausalLM", qwen2_to_gguf};
const Family kQwen3{"qwen3",        "qwen3",       build_qwen3,        gguf_qwen3,   kWeights,
                    kLlamaPrefixes, kLlamaIgnored, "Qwen3ForCausalLM", qwen3_to_gguf};
const Family kSmolLm3{"smollm3",           "smollm3",      build_smollm3, gguf_smollm3,
                      kInterleavedWeights, kLlamaPrefixes, kLlamaIgnored, "SmolLM3ForCausalLM",
                      smollm3_to_gguf};
const Family kMiniCpm{"minicpm",           "minicpm",      build_minicpm, gguf_minicpm,
                      kInterleavedWeights, kLlamaPrefixes, kLlamaIgnored, "MiniCPMForCausalLM",
                      minicpm_to_gguf};

}  // namespace martlet::models
