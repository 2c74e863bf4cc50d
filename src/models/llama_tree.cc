#include "models/llama_tree.h"

#include <cmath>

#include "models/gguf_config.h"
#include "nn/decoder.h"

namespace martlet::models {
namespace {

bool no_layer(const Fields&, int64_t) {
  return false;
}

auto slides_or_none(bool (*slides)(const Fields&, int64_t)) {
  return slides == nullptr ? no_layer : slides;
}

constexpr std::string_view kSilu[] = {"silu"};

}  // namespace

bool every_layer(const Fields&, int64_t) {
  return true;
}

bool qwen_slides(const Fields& config, int64_t layer) {
  return config.boolean("use_sliding_window", false) && layer >= config.integer("max_window_layers", 28);
}

std::shared_ptr<nn::Model> build_llama_tree(const Fields& config, const LlamaVariant& variant) {
  DecoderSizes sizes = decoder_sizes(config);
  sizes.attention.qkv_bias = variant.qkv_bias;
  sizes.attention.output_bias = variant.output_bias;
  const bool mlp_bias = config.boolean("mlp_bias", false);
  const double epsilon = norm_epsilon(config, "rms_norm_eps", 1e-6);
  const ops::Unary activation = nn::activation_named(config.text("hidden_act", "silu"));
  const int64_t hidden_size = sizes.model.hidden_size;
  const int64_t head_dim = sizes.attention.head_dim;
  const auto rope = rope_scaling(config, head_dim, sizes.model.max_positions);
  const int64_t window = config.integer_within("sliding_window", 0, int64_t{1} << 31, 0);
  const auto windows = layer_windows(config, sizes.model.layers, window, slides_or_none(variant.slides));

  const auto feed_forward = [&](int64_t layer) -> std::shared_ptr<nn::FeedForward> {
    if (variant.feed_forward != nullptr) return variant.feed_forward(config, layer);
    return std::make_shared<nn::GatedFeedForward>(hidden_size, sizes.intermediate_size, activation, mlp_bias);
  };

  auto model = std::make_shared<nn::DecoderModel>(
      sizes.model,
      nn::DecoderOptions{.embedding_scale = variant.embedding_scale, .logit_scale = variant.logit_scale});
  const auto table = std::make_shared<nn::TableEmbedding>(sizes.model.vocabulary_size, hidden_size);
  model->embed_tokens.set(table);
  for (int64_t layer = 0; layer < sizes.model.layers; ++layer) {
    const ops::AttentionOptions options{.scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                                        .window = windows[static_cast<size_t>(layer)]};
    const bool rotates = variant.rotates == nullptr || variant.rotates(config, layer);
    const auto attention = std::make_shared<nn::Attention>(
        sizes.attention, rotates ? rope : nullptr, std::make_shared<nn::SoftmaxAttention>(layer, options));
    if (variant.head_norms) {
      attention->q_norm.set(std::make_shared<nn::RmsNorm>(head_dim, epsilon));
      attention->k_norm.set(std::make_shared<nn::RmsNorm>(head_dim, epsilon));
    }
    model->layers->push_back(std::make_shared<nn::DecoderBlock>(
        std::make_shared<nn::RmsNorm>(hidden_size, epsilon), attention,
        std::make_shared<nn::RmsNorm>(hidden_size, epsilon), feed_forward(layer), variant.residual_scale));
  }
  model->norm.set(std::make_shared<nn::RmsNorm>(hidden_size, epsilon));
  const auto head = std::make_shared<nn::AffineLinear>(hidden_size, sizes.model.vocabulary_size, false);
  if (config.boolean("tie_word_embeddings", false)) head->weight.tie(table->weight);
  model->lm_head.set(head);
  return model;
}

void llama_config_to_gguf(const Fields& config, std::string_view architecture,
                          bool (*slides)(const Fields&, int64_t), GgufConfig& to) {
  require_text(config, architecture, "hidden_act", "silu", kSilu);
  decoder_config_to_gguf(config, architecture, to);
  const DecoderSizes sizes = decoder_sizes(config);
  const int64_t window = config.integer_within("sliding_window", 0, int64_t{1} << 31, 0);
  const auto windows = layer_windows(config, sizes.model.layers, window, slides_or_none(slides));
  to.pairs.integer(fmt::format("{}.context_length", architecture),
                   context_within(sizes.model.max_positions, windows));
}

Json llama_config_from_gguf(const formats::GgufFile& file, std::string_view model_type) {
  Json config = decoder_config_from_gguf(file, model_type);
  config.set("attention_bias", file.tensors().has("blk.0.attn_q.bias"));
  config.set("mlp_bias", file.tensors().has("blk.0.ffn_gate.bias"));
  return config;
}

}  // namespace martlet::models
