// Gemma and Gemma 2: norms whose stored weight is the weight - 1, GeGLU, embedding times sqrt(hidden), tied
// head. Gemma 2 adds norms after attention and feed-forward, soft caps on scores and logits, and sliding
// layers between full ones. Gemma team, "Gemma", 2024, and "Gemma 2", 2024.
#include "models/gemma.h"

#include <algorithm>
#include <cmath>

#include "models/config_keys.h"
#include "models/gemma_names.h"
#include "models/gguf_config.h"
#include "nn/decoder.h"

namespace martlet::models {
namespace {

/// Where the two differ.
struct Variant {
  bool post_norms = false;
  int64_t window = 0;
  float query_scalar = 0;  ///< what scores are divided by the root of
  float attention_cap = 0;
  float logit_cap = 0;
  ops::Unary activation;
};

/// Without `layer_types`, every other layer slides, the first one included.
bool slides(const Fields&, int64_t layer) {
  return layer % 2 == 0;
}

std::shared_ptr<nn::Model> build_with(const Fields& config, const Variant& variant) {
  DecoderSizes sizes = decoder_sizes(config);
  sizes.attention.qkv_bias = sizes.attention.output_bias = config.boolean("attention_bias", false);
  const int64_t hidden_size = sizes.model.hidden_size;
  const int64_t head_dim = sizes.attention.head_dim;
  const double epsilon = norm_epsilon(config, "rms_norm_eps", 1e-6);
  const auto rope = rope_scaling(config, head_dim, sizes.model.max_positions);
  std::vector<int64_t> windows(static_cast<size_t>(sizes.model.layers), 0);
  if (variant.window > 0) windows = layer_windows(config, sizes.model.layers, variant.window, slides);
  const auto norm = [&] { return std::make_shared<nn::RmsNorm>(hidden_size, epsilon, 1.0f); };

  auto model = std::make_shared<nn::DecoderModel>(
      sizes.model, nn::DecoderOptions{.embedding_scale = std::sqrt(static_cast<float>(hidden_size)),
                                      .logit_soft_cap = variant.logit_cap});
  const auto table = std::make_shared<nn::TableEmbedding>(sizes.model.vocabulary_size, hidden_size);
  model->embed_tokens.set(table);
  for (int64_t layer = 0; layer < sizes.model.layers; ++layer) {
    const ops::AttentionOptions options{.scale = 1.0f / std::sqrt(variant.query_scalar),
                                        .window = windows[static_cast<size_t>(layer)],
                                        .soft_cap = variant.attention_cap};
    const auto block = std::make_shared<nn::DecoderBlock>(
        norm(),
        std::make_shared<nn::Attention>(sizes.attention, rope,
                                        std::make_shared<nn::SoftmaxAttention>(layer, options)),
        norm(),
        std::make_shared<nn::GatedFeedForward>(hidden_size, sizes.intermediate_size, variant.activation,
                                               false));
    if (variant.post_norms) {
      block->attention_post_norm.set(norm());
      block->feed_forward_post_norm.set(norm());
    }
    model->layers->push_back(block);
  }
  model->norm.set(norm());
  const auto head = std::make_shared<nn::AffineLinear>(hidden_size, sizes.model.vocabulary_size, false);
  if (config.boolean("tie_word_embeddings", true)) head->weight.tie(table->weight);
  model->lm_head.set(head);
  return model;
}

std::shared_ptr<nn::Model> build_gemma(const Fields& config) {
  // The first releases said "gelu" and meant its approximation.
  std::string activation = config.text("hidden_act", "gelu_pytorch_tanh");
  if (activation == "gelu") activation = "gelu_pytorch_tanh";
  return build_with(config, {.query_scalar = static_cast<float>(decoder_sizes(config).attention.head_dim),
                             .activation = nn::activation_named(activation)});
}

std::shared_ptr<nn::Model> build_gemma2(const Fields& config) {
  return build_with(
      config, {.post_norms = true,
               .window = config.integer_within("sliding_window", 1, int64_t{1} << 31, 4096),
               .query_scalar = static_cast<float>(config.real("query_pre_attn_scalar", 256.0)),
               .attention_cap = static_cast<float>(config.real("attn_logit_softcapping", 50.0)),
               .logit_cap = static_cast<float>(config.real("final_logit_softcapping", 30.0)),
               .activation = nn::activation_named(config.text("hidden_activation", "gelu_pytorch_tanh"))});
}

Json gemma_from_gguf(const formats::GgufFile& file) {
  return decoder_config_from_gguf(file, "gemma");
}

/// The file form has no key for the scale of scores: all sizes take the head's, but the one of 46 layers
/// (27B), whose config says hidden_size / num_attention_heads.
constexpr int64_t kLayersOf27B = 46;

Json gemma2_from_gguf(const formats::GgufFile& file) {
  Json config = decoder_config_from_gguf(file, "gemma2");
  const formats::GgufMetadata& metadata = file.metadata();
  const int64_t heads = std::max<int64_t>(config.at("num_attention_heads").integer(), 1);
  const int64_t width = config.at("hidden_size").integer() / heads;
  const Json* head_dim = config.find("head_dim");
  const bool by_width = head_dim == nullptr || config.at("num_hidden_layers").integer() == kLayersOf27B;
  config.set("query_pre_attn_scalar", by_width ? width : head_dim->integer());
  config.set("attn_logit_softcapping", metadata.real("gemma2.attn_logit_softcapping", 50.0));
  config.set("final_logit_softcapping", metadata.real("gemma2.final_logit_softcapping", 30.0));
  return config;
}

constexpr std::string_view kTanhGelu[] = {"gelu_pytorch_tanh"};
constexpr std::string_view kGelus[] = {"gelu", "gelu_pytorch_tanh"};

void gemma_to_gguf(const Fields& config, GgufConfig& to) {
  require_text(config, "gemma", "hidden_act", "gelu_pytorch_tanh", kGelus);
  require_flag(config, "gemma", "attention_bias", false, false);
  decoder_config_to_gguf(config, "gemma", to);
  to.pairs.integer("gemma.context_length", decoder_sizes(config).model.max_positions);
}

void gemma2_to_gguf(const Fields& config, GgufConfig& to) {
  const DecoderSizes sizes = decoder_sizes(config);
  require_text(config, "gemma2", "hidden_activation", "gelu_pytorch_tanh", kTanhGelu);
  require_flag(config, "gemma2", "attention_bias", false, false);
  const auto windows = layer_windows(config, sizes.model.layers, 1, slides);
  for (int64_t layer = 0; layer < sizes.model.layers; ++layer)
    if ((windows[static_cast<size_t>(layer)] != 0) != (layer % 2 == 0))
      bad_input("{}: layer {} {}; in GGUF files of gemma2 every other layer slides, the first included",
                config.source(), layer, windows[static_cast<size_t>(layer)] != 0 ? "slides" : "is full");
  const int64_t usual = sizes.model.layers == kLayersOf27B ? sizes.model.hidden_size / sizes.attention.heads
                                                           : sizes.attention.head_dim;
  if (const double scalar = config.real("query_pre_attn_scalar", 256.0); scalar != static_cast<double>(usual))
    bad_input("{}: query_pre_attn_scalar is {}; GGUF files of gemma2 have no key for it and mean {}",
              config.source(), scalar, usual);
  decoder_config_to_gguf(config, "gemma2", to);
  to.pairs.integer("gemma2.context_length", sizes.model.max_positions)
      .integer("gemma2.attention.sliding_window",
               config.integer_within("sliding_window", 1, int64_t{1} << 31, 4096))
      .real("gemma2.attn_logit_softcapping", config.real("attn_logit_softcapping", 50.0))
      .real("gemma2.final_logit_softcapping", config.real("final_logit_softcapping", 30.0));
}

constexpr auto kGemmaWeights = gemma_names("model.layers.{}.post_attention_layernorm.weight");
constexpr auto kGemma2Weights = gemma_names("model.layers.{}.pre_feedforward_layernorm.weight");
constexpr std::string_view kPrefixes[] = {"model."};
constexpr std::string_view kIgnored[] = {"**.rotary_emb.inv_freq"};

}  // namespace

const Family kGemma{"gemma",   "gemma",  build_gemma,        gemma_from_gguf, kGemmaWeights,
                    kPrefixes, kIgnored, "GemmaForCausalLM", gemma_to_gguf};
const Family kGemma2{"gemma2",  "gemma2", build_gemma2,        gemma2_from_gguf, kGemma2Weights,
                     kPrefixes, kIgnored, "Gemma2ForCausalLM", gemma2_to_gguf};

}  // namespace martlet::models
