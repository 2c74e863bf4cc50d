// Gemma 3 (text): norms before and after attention and feed-forward whose stored weight is the weight - 1,
// norms of queries and keys, GeGLU, embedding times sqrt(hidden), sliding layers with a rotary base of their
// own between full ones. Gemma team, "Gemma 3 Technical Report", 2025.
#include "models/gemma3.h"

#include <algorithm>
#include <cmath>

#include "models/config_keys.h"
#include "models/gemma_names.h"
#include "models/gguf_config.h"
#include "nn/decoder.h"

namespace martlet::models {
namespace {

/// Without `layer_types`, every sixth layer is full.
bool slides(const Fields& config, int64_t layer) {
  return (layer + 1) % config.integer_within("sliding_window_pattern", 1, 1 << 20, 6) != 0;
}

/// Older configs give the sliding layers' base by its own key, and no scaling for them.
std::shared_ptr<const ops::RopeScaling> local_rope(const Fields& config, int64_t head_dim,
                                                   int64_t max_positions) {
  if (config.has("rope_parameters"))
    return rope_scaling(config, head_dim, max_positions, "sliding_attention");
  auto scaling = std::make_shared<ops::RopeScaling>();
  scaling->base = config.real("rope_local_base_freq", 10000.0);
  scaling->dimensions = head_dim;
  scaling->max_positions = max_positions;
  return scaling;
}

std::shared_ptr<nn::Model> build_text(const Fields& config) {
  if (config.boolean("use_bidirectional_attention", false))
    bad_input("{}: use_bidirectional_attention is not supported; only models that generate are",
              config.source());
  DecoderSizes sizes = decoder_sizes(config);
  sizes.attention.qkv_bias = sizes.attention.output_bias = config.boolean("attention_bias", false);
  const int64_t hidden_size = sizes.model.hidden_size;
  const int64_t head_dim = sizes.attention.head_dim;
  const double epsilon = norm_epsilon(config, "rms_norm_eps", 1e-6);
  const ops::Unary activation = nn::activation_named(config.text("hidden_activation", "gelu_pytorch_tanh"));
  const auto query_scalar =
      static_cast<float>(config.real("query_pre_attn_scalar", static_cast<double>(head_dim)));
  const auto attention_cap = static_cast<float>(config.real("attn_logit_softcapping", 0.0));
  const auto global = rope_scaling(config, head_dim, sizes.model.max_positions, "full_attention");
  const auto local = local_rope(config, head_dim, sizes.model.max_positions);
  const int64_t window = config.integer_within("sliding_window", 1, int64_t{1} << 31, 4096);
  const auto windows = layer_windows(config, sizes.model.layers, window, slides);
  const auto norm = [&](int64_t size) { return std::make_shared<nn::RmsNorm>(size, epsilon, 1.0f); };

  auto model = std::make_shared<nn::DecoderModel>(
      sizes.model,
      nn::DecoderOptions{.embedding_scale = std::sqrt(static_cast<float>(hidden_size)),
                         .logit_soft_cap = static_cast<float>(config.real("final_logit_softcapping", 0.0))});
  const auto table = std::make_shared<nn::TableEmbedding>(sizes.model.vocabulary_size, hidden_size);
  model->embed_tokens.set(table);
  for (int64_t layer = 0; layer < sizes.model.layers; ++layer) {
    const int64_t layer_window = windows[static_cast<size_t>(layer)];
    const ops::AttentionOptions options{
        .scale = 1.0f / std::sqrt(query_scalar), .window = layer_window, .soft_cap = attention_cap};
    const auto attention =
        std::make_shared<nn::Attention>(sizes.attention, layer_window > 0 ? local : global,
                                        std::make_shared<nn::SoftmaxAttention>(layer, options));
    attention->q_norm.set(norm(head_dim));
    attention->k_norm.set(norm(head_dim));
    const auto block = std::make_shared<nn::DecoderBlock>(
        norm(hidden_size), attention, norm(hidden_size),
        std::make_shared<nn::GatedFeedForward>(hidden_size, sizes.intermediate_size, activation, false));
    block->attention_post_norm.set(norm(hidden_size));
    block->feed_forward_post_norm.set(norm(hidden_size));
    model->layers->push_back(block);
  }
  model->norm.set(norm(hidden_size));
  const auto head = std::make_shared<nn::AffineLinear>(hidden_size, sizes.model.vocabulary_size, false);
  if (config.boolean("tie_word_embeddings", true)) head->weight.tie(table->weight);
  model->lm_head.set(head);
  return model;
}

std::shared_ptr<nn::Model> build_with_vision(const Fields& config) {
  const Json* text = config.value("text_config");
  if (text == nullptr || !text->is_object()) bad_input("{}: text_config must be a table", config.source());
  return build_text(Fields(*text, config.source() + ": text_config"));
}

/// The file form has no key for the scale of scores. All sizes take the head's, but the one of 62 layers
/// (27B), whose config says hidden_size / num_attention_heads.
constexpr int64_t kLayersOf27B = 62;

Json config_from_gguf(const formats::GgufFile& file) {
  Json config = decoder_config_from_gguf(file, "gemma3_text");
  const formats::GgufMetadata& metadata = file.metadata();
  config.set("rope_local_base_freq", metadata.real("gemma3.rope.freq_base_swa", 10000.0));
  const int64_t heads = std::max<int64_t>(config.at("num_attention_heads").integer(), 1);
  const int64_t width = config.at("hidden_size").integer() / heads;
  const Json* head_dim = config.find("head_dim");
  const bool by_width = head_dim == nullptr || config.at("num_hidden_layers").integer() == kLayersOf27B;
  config.set("query_pre_attn_scalar", by_width ? width : head_dim->integer());
  if (metadata.has("gemma3.attn_logit_softcapping"))
    config.set("attn_logit_softcapping", metadata.real("gemma3.attn_logit_softcapping"));
  if (metadata.has("gemma3.final_logit_softcapping"))
    config.set("final_logit_softcapping", metadata.real("gemma3.final_logit_softcapping"));
  return config;
}

constexpr std::string_view kTanhGelu[] = {"gelu_pytorch_tanh"};
constexpr int64_t kFullEvery = 6;

/// Readers know which layers slide and how scores are scaled by the architecture alone.
void require_usual_layers(const Fields& config, const DecoderSizes& sizes) {
  const auto windows = layer_windows(config, sizes.model.layers, 1, slides);
  for (int64_t layer = 0; layer < sizes.model.layers; ++layer)
    if ((windows[static_cast<size_t>(layer)] != 0) != ((layer + 1) % kFullEvery != 0))
      bad_input("{}: layer {} {}; in GGUF files of gemma3 every sixth layer is full and all others slide",
                config.source(), layer, windows[static_cast<size_t>(layer)] != 0 ? "slides" : "is full");
  const auto head_dim = static_cast<double>(sizes.attention.head_dim);
  const double usual = sizes.model.layers == kLayersOf27B
                           ? static_cast<double>(sizes.model.hidden_size / sizes.attention.heads)
                           : head_dim;
  if (const double scalar = config.real("query_pre_attn_scalar", head_dim); scalar != usual)
    bad_input("{}: query_pre_attn_scalar is {}; GGUF files of gemma3 have no key for it and mean {}",
              config.source(), scalar, usual);
  if (config.real("attn_logit_softcapping", 0.0) != 0)
    bad_input("{}: attn_logit_softcapping is {}, which GGUF files of gemma3 cannot say", config.source(),
              config.real("attn_logit_softcapping"));
}

void text_to_gguf(const Fields& config, GgufConfig& to) {
  const DecoderSizes sizes = decoder_sizes(config);
  require_text(config, "gemma3", "hidden_activation", "gelu_pytorch_tanh", kTanhGelu);
  require_flag(config, "gemma3", "attention_bias", false, false);
  require_usual_layers(config, sizes);
  decoder_config_to_gguf(config, "gemma3", to, "full_attention");
  const auto local = local_rope(config, sizes.attention.head_dim, sizes.model.max_positions);
  if (local->kind != ops::RopeScaling::Kind::kDefault)
    bad_input("{}: the rotation of sliding layers is scaled, which GGUF files of gemma3 cannot say",
              config.source());
  to.pairs.integer("gemma3.context_length", sizes.model.max_positions)
      .integer("gemma3.attention.sliding_window",
               config.integer_within("sliding_window", 1, int64_t{1} << 31, 4096))
      .real("gemma3.rope.freq_base_swa", local->base);
  if (const double cap = config.real("final_logit_softcapping", 0.0); cap != 0)
    to.pairs.real("gemma3.final_logit_softcapping", cap);
}

void with_vision_to_gguf(const Fields& config, GgufConfig& to) {
  const Json* text = config.value("text_config");
  if (text == nullptr || !text->is_object()) bad_input("{}: text_config must be a table", config.source());
  text_to_gguf(Fields(*text, config.source() + ": text_config"), to);
}

constexpr auto kWeights = gemma_names("model.layers.{}.pre_feedforward_layernorm.weight");
constexpr std::string_view kPrefixes[] = {"model.", "model.language_model.", "language_model.model."};
constexpr std::string_view kIgnored[] = {"**.vision_tower.**", "vision_tower.**",
                                         "**.multi_modal_projector.**", "multi_modal_projector.**"};

}  // namespace

const Family kGemma3{"gemma3",
                     "",
                     build_with_vision,
                     nullptr,
                     kWeights,
                     kPrefixes,
                     kIgnored,
                     "Gemma3ForConditionalGeneration",
                     with_vision_to_gguf,
                     &kGemma3Text};
const Family kGemma3Text{"gemma3_text", "gemma3", build_text,          config_from_gguf, kWeights,
                         kPrefixes,     kIgnored, "Gemma3ForCausalLM", text_to_gguf};

}  // namespace martlet::models
