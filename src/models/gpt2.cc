// GPT-2: learned positions, LayerNorm before attention and feed-forward, tied head. Its linear layers are
// stored [in, out], and q, k, v in one. Radford et al., "Language Models are Unsupervised Multitask
// Learners", 2019.
#include "models/gpt2.h"

#include <cmath>

#include "models/config_keys.h"
#include "models/gguf_config.h"
#include "nn/decoder.h"

namespace martlet::models {
namespace {

std::shared_ptr<nn::Model> build(const Fields& config) {
  nn::ModelShape shape;
  shape.vocabulary_size = config.integer_within("vocab_size", 1, 1 << 27);
  shape.hidden_size = config.integer_within("n_embd", 1, 1 << 22);
  shape.layers = config.integer_within("n_layer", 1, 4096);
  shape.max_positions = config.integer_within("n_positions", 1, 1 << 27, 1024);
  const int64_t heads = config.integer_within("n_head", 1, 1 << 20);
  if (shape.hidden_size % heads != 0)
    bad_input("{}: n_embd {} is no multiple of n_head {}", config.source(), shape.hidden_size, heads);
  const int64_t head_dim = shape.hidden_size / heads;
  const int64_t inner = config.integer_within("n_inner", 1, 1 << 24, 4 * shape.hidden_size);
  const double epsilon = norm_epsilon(config, "layer_norm_epsilon", 1e-5);
  const ops::Unary activation = nn::activation_named(config.text("activation_function", "gelu_new"));
  const bool scaled = config.boolean("scale_attn_weights", true);
  const bool scaled_by_layer = config.boolean("scale_attn_by_inverse_layer_idx", false);

  auto model = std::make_shared<nn::DecoderModel>(shape, nn::DecoderOptions{});
  const auto table = std::make_shared<nn::TableEmbedding>(shape.vocabulary_size, shape.hidden_size);
  model->embed_tokens.set(table);
  model->embed_positions.set(std::make_shared<nn::TableEmbedding>(shape.max_positions, shape.hidden_size));
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    float scale = scaled ? 1.0f / std::sqrt(static_cast<float>(head_dim)) : 1.0f;
    if (scaled_by_layer) scale /= static_cast<float>(layer + 1);
    const nn::AttentionShape attention{shape.hidden_size, heads, heads, head_dim, true, true};
    model->layers->push_back(std::make_shared<nn::DecoderBlock>(
        std::make_shared<nn::LayerNorm>(shape.hidden_size, epsilon),
        std::make_shared<nn::Attention>(
            attention, nullptr,
            std::make_shared<nn::SoftmaxAttention>(layer, ops::AttentionOptions{.scale = scale})),
        std::make_shared<nn::LayerNorm>(shape.hidden_size, epsilon),
        std::make_shared<nn::PlainFeedForward>(shape.hidden_size, inner, activation, true)));
  }
  model->norm.set(std::make_shared<nn::LayerNorm>(shape.hidden_size, epsilon));
  const auto head = std::make_shared<nn::AffineLinear>(shape.hidden_size, shape.vocabulary_size, false);
  if (config.boolean("tie_word_embeddings", true)) head->weight.tie(table->weight);
  model->lm_head.set(head);
  return model;
}

Json config_from_gguf(const formats::GgufFile& file) {
  const formats::GgufMetadata& metadata = file.metadata();
  Json config;
  config.set("model_type", "gpt2");
  config.set("vocab_size", file.tensors().info("token_embd.weight").shape.dim(0));
  config.set("n_embd", metadata.integer("gpt2.embedding_length"));
  config.set("n_layer", metadata.integer("gpt2.block_count"));
  config.set("n_head", metadata.integer("gpt2.attention.head_count"));
  config.set("n_inner", metadata.integer("gpt2.feed_forward_length"));
  config.set("n_positions", file.tensors().info("position_embd.weight").shape.dim(0));
  config.set("layer_norm_epsilon", metadata.real("gpt2.attention.layer_norm_epsilon"));
  config.set("tie_word_embeddings", !file.tensors().has("output.weight"));
  return config;
}

// The same function under two names.
constexpr std::string_view kTanhGelu[] = {"gelu_new", "gelu_pytorch_tanh"};

void config_to_gguf(const Fields& config, GgufConfig& to) {
  require_text(config, "gpt2", "activation_function", "gelu_new", kTanhGelu);
  require_flag(config, "gpt2", "scale_attn_weights", true, true);
  require_flag(config, "gpt2", "scale_attn_by_inverse_layer_idx", false, false);
  const int64_t hidden_size = config.integer_within("n_embd", 1, 1 << 22);
  to.pairs.integer("gpt2.block_count", config.integer_within("n_layer", 1, 4096))
      .integer("gpt2.context_length", config.integer_within("n_positions", 1, 1 << 27, 1024))
      .integer("gpt2.embedding_length", hidden_size)
      .integer("gpt2.feed_forward_length", config.integer_within("n_inner", 1, 1 << 24, 4 * hidden_size))
      .integer("gpt2.attention.head_count", config.integer_within("n_head", 1, 1 << 20))
      .integer("gpt2.vocab_size", config.integer_within("vocab_size", 1, 1 << 27))
      .real("gpt2.attention.layer_norm_epsilon", norm_epsilon(config, "layer_norm_epsilon", 1e-5));
}

constexpr WeightName kWeights[] = {
    {"embed_tokens.weight", "transformer.wte.weight", "token_embd.weight"},
    {"embed_positions.weight", "transformer.wpe.weight", "position_embd.weight"},
    {"layers.{}.attention_norm.weight", "transformer.h.{}.ln_1.weight", "blk.{}.attn_norm.weight"},
    {"layers.{}.attention_norm.bias", "transformer.h.{}.ln_1.bias", "blk.{}.attn_norm.bias"},
    {"layers.{}.attention.q_proj.weight", "transformer.h.{}.attn.c_attn.weight", "blk.{}.attn_qkv.weight",
     Stored::kTransposedJoined, Stored::kJoined},
    {"layers.{}.attention.k_proj.weight", "transformer.h.{}.attn.c_attn.weight", "blk.{}.attn_qkv.weight",
     Stored::kTransposedJoined, Stored::kJoined},
    {"layers.{}.attention.v_proj.weight", "transformer.h.{}.attn.c_attn.weight", "blk.{}.attn_qkv.weight",
     Stored::kTransposedJoined, Stored::kJoined},
    {"layers.{}.attention.q_proj.bias", "transformer.h.{}.attn.c_attn.bias", "blk.{}.attn_qkv.bias",
     Stored::kJoined, Stored::kJoined},
    {"layers.{}.attention.k_proj.bias", "transformer.h.{}.attn.c_attn.bias", "blk.{}.attn_qkv.bias",
     Stored::kJoined, Stored::kJoined},
    {"layers.{}.attention.v_proj.bias", "transformer.h.{}.attn.c_attn.bias", "blk.{}.attn_qkv.bias",
     Stored::kJoined, Stored::kJoined},
    {"layers.{}.attention.o_proj.weight", "transformer.h.{}.attn.c_proj.weight", "blk.{}.attn_output.weight",
     Stored::kTransposed},
    {"layers.{}.attention.o_proj.bias", "transformer.h.{}.attn.c_proj.bias", "blk.{}.attn_output.bias"},
    {"layers.{}.feed_forward_norm.weight", "transformer.h.{}.ln_2.weight", "blk.{}.ffn_norm.weight"},
    {"layers.{}.feed_forward_norm.bias", "transformer.h.{}.ln_2.bias", "blk.{}.ffn_norm.bias"},
    {"layers.{}.feed_forward.up_proj.weight", "transformer.h.{}.mlp.c_fc.weight", "blk.{}.ffn_up.weight",
     Stored::kTransposed},
    {"layers.{}.feed_forward.up_proj.bias", "transformer.h.{}.mlp.c_fc.bias", "blk.{}.ffn_up.bias"},
    {"layers.{}.feed_forward.down_proj.weight", "transformer.h.{}.mlp.c_proj.weight",
     "blk.{}.ffn_down.weight", Stored::kTransposed},
    {"layers.{}.feed_forward.down_proj.bias", "transformer.h.{}.mlp.c_proj.bias", "blk.{}.ffn_down.bias"},
    {"norm.weight", "transformer.ln_f.weight", "output_norm.weight"},
    {"norm.bias", "transformer.ln_f.bias", "output_norm.bias"},
    {"lm_head.weight", "lm_head.weight", "output.weight"},
};
constexpr std::string_view kPrefixes[] = {"transformer.", ""};
constexpr std::string_view kIgnored[] = {"**.attn.bias", "**.attn.masked_bias"};

}  // namespace

const Family kGpt2{"gpt2",        "gpt2",    build,    config_from_gguf,
                   kWeights,      kPrefixes, kIgnored, "GPT2LMHeadModel",
                   config_to_gguf};

}  // namespace martlet::models
