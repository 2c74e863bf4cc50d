// BERT: words, positions and segment 0 added and normalised, then blocks that attend both ways and normalise
// after each sum. Devlin et al., "BERT", 2019. The hidden states are the result; there is no head that
// predicts the next token.
#include "models/bert.h"

#include <cmath>

#include "models/config_keys.h"
#include "nn/layers.h"
#include "ops/binary.h"

namespace martlet::models {
namespace {

class BertBlock final : public nn::Block {
 public:
  BertBlock(std::shared_ptr<nn::TokenMixer> mixer, std::shared_ptr<nn::Norm> mixer_norm,
            std::shared_ptr<nn::FeedForward> feeder, std::shared_ptr<nn::Norm> feeder_norm)
      : attention(*this, "attention", std::move(mixer)),
        attention_norm(*this, "attention_norm", std::move(mixer_norm)),
        feed_forward(*this, "feed_forward", std::move(feeder)),
        feed_forward_norm(*this, "feed_forward_norm", std::move(feeder_norm)) {}
  std::string_view kind() const override { return "BertBlock"; }

  Tensor forward(Tensor x, const nn::Batch& batch) override {
    x = attention_norm->forward(ops::add(x, attention->forward(x, batch)));
    return feed_forward_norm->forward(ops::add(x, feed_forward->forward(x)));
  }

  nn::Child<nn::TokenMixer> attention;
  nn::Child<nn::Norm> attention_norm;
  nn::Child<nn::FeedForward> feed_forward;
  nn::Child<nn::Norm> feed_forward_norm;
};

class BertModel final : public nn::Model {
 public:
  BertModel(const nn::ModelShape& shape, int64_t segments, double epsilon)
      : embed_tokens(*this, "embed_tokens",
                     std::make_shared<nn::TableEmbedding>(shape.vocabulary_size, shape.hidden_size)),
        embed_positions(*this, "embed_positions",
                        std::make_shared<nn::TableEmbedding>(shape.max_positions, shape.hidden_size)),
        embed_segments(*this, "embed_segments",
                       std::make_shared<nn::TableEmbedding>(segments, shape.hidden_size)),
        embed_norm(*this, "embed_norm", std::make_shared<nn::LayerNorm>(shape.hidden_size, epsilon)),
        layers(*this, "layers", std::make_shared<nn::ModuleList<nn::Block>>()),
        shape_(shape) {}
  std::string_view kind() const override { return "BertModel"; }
  const nn::ModelShape& shape() const override { return shape_; }

  Tensor hidden(const nn::Batch& batch) override {
    const std::vector<int32_t> first_segment(static_cast<size_t>(batch.token_count()), 0);
    Tensor x = embed_tokens->forward(batch.ids());
    ops::add_in_place(x, embed_segments->forward(first_segment));
    ops::add_in_place(x, embed_positions->forward(batch.positions()));
    x = embed_norm->forward(x);
    for (size_t layer = 0; layer < layers->size(); ++layer) x = (*layers)[layer].forward(std::move(x), batch);
    return x;
  }

  Tensor logits(const Tensor&) override {
    bad_input("a bert model gives hidden states, no next-token scores");
  }

  nn::Child<nn::Embedding> embed_tokens;
  nn::Child<nn::Embedding> embed_positions;
  nn::Child<nn::Embedding> embed_segments;
  nn::Child<nn::Norm> embed_norm;
  nn::Child<nn::ModuleList<nn::Block>> layers;

 private:
  nn::ModelShape shape_;
};

std::shared_ptr<nn::Model> build(const Fields& config) {
  nn::ModelShape shape;
  shape.vocabulary_size = config.integer_within("vocab_size", 1, 1 << 27);
  shape.hidden_size = config.integer_within("hidden_size", 1, 1 << 22);
  shape.layers = config.integer_within("num_hidden_layers", 1, 4096);
  shape.max_positions = config.integer_within("max_position_embeddings", 1, 1 << 27, 512);
  shape.generates = false;
  if (config.boolean("is_decoder", false))
    bad_input("{}: is_decoder is not supported; a bert model reads both ways", config.source());
  const int64_t heads = config.integer_within("num_attention_heads", 1, 1 << 20);
  if (shape.hidden_size % heads != 0)
    bad_input("{}: hidden_size {} is no multiple of num_attention_heads {}", config.source(),
              shape.hidden_size, heads);
  const int64_t head_dim = shape.hidden_size / heads;
  const int64_t inner = config.integer_within("intermediate_size", 1, 1 << 24);
  const double epsilon = norm_epsilon(config, "layer_norm_eps", 1e-12);
  const ops::Unary activation = nn::activation_named(config.text("hidden_act", "gelu"));

  const auto model =
      std::make_shared<BertModel>(shape, config.integer_within("type_vocab_size", 1, 1 << 20, 2), epsilon);
  const ops::AttentionOptions options{.scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                                      .causal = false};
  for (int64_t layer = 0; layer < shape.layers; ++layer)
    model->layers->push_back(std::make_shared<BertBlock>(
        std::make_shared<nn::Attention>(
            nn::AttentionShape{shape.hidden_size, heads, heads, head_dim, true, true}, nullptr,
            std::make_shared<nn::SoftmaxAttention>(layer, options)),
        std::make_shared<nn::LayerNorm>(shape.hidden_size, epsilon),
        std::make_shared<nn::PlainFeedForward>(shape.hidden_size, inner, activation, true),
        std::make_shared<nn::LayerNorm>(shape.hidden_size, epsilon)));
  return model;
}

Json config_from_gguf(const formats::GgufFile& file) {
  const formats::GgufMetadata& metadata = file.metadata();
  Json config;
  config.set("model_type", "bert");
  config.set("vocab_size", file.tensors().info("token_embd.weight").shape.dim(0));
  config.set("hidden_size", metadata.integer("bert.embedding_length"));
  config.set("num_hidden_layers", metadata.integer("bert.block_count"));
  config.set("num_attention_heads", metadata.integer("bert.attention.head_count"));
  config.set("intermediate_size", metadata.integer("bert.feed_forward_length"));
  config.set("max_position_embeddings", file.tensors().info("position_embd.weight").shape.dim(0));
  config.set("type_vocab_size", file.tensors().info("token_types.weight").shape.dim(0));
  config.set("layer_norm_eps", metadata.real("bert.attention.layer_norm_epsilon"));
  return config;
}

constexpr WeightName kWeights[] = {
    {"embed_tokens.weight", "bert.embeddings.word_embeddings.weight", "token_embd.weight"},
    {"embed_positions.weight", "bert.embeddings.position_embeddings.weight", "position_embd.weight"},
    {"embed_segments.weight", "bert.embeddings.token_type_embeddings.weight", "token_types.weight"},
    {"embed_norm.weight", "bert.embeddings.LayerNorm.weight", "token_embd_norm.weight"},
    {"embed_norm.bias", "bert.embeddings.LayerNorm.bias", "token_embd_norm.bias"},
    {"layers.{}.attention.q_proj.weight", "bert.encoder.layer.{}.attention.self.query.weight",
     "blk.{}.attn_q.weight"},
    {"layers.{}.attention.q_proj.bias", "bert.encoder.layer.{}.attention.self.query.bias",
     "blk.{}.attn_q.bias"},
    {"layers.{}.attention.k_proj.weight", "bert.encoder.layer.{}.attention.self.key.weight",
     "blk.{}.attn_k.weight"},
    {"layers.{}.attention.k_proj.bias", "bert.encoder.layer.{}.attention.self.key.bias",
     "blk.{}.attn_k.bias"},
    {"layers.{}.attention.v_proj.weight", "bert.encoder.layer.{}.attention.self.value.weight",
     "blk.{}.attn_v.weight"},
    {"layers.{}.attention.v_proj.bias", "bert.encoder.layer.{}.attention.self.value.bias",
     "blk.{}.attn_v.bias"},
    {"layers.{}.attention.o_proj.weight", "bert.encoder.layer.{}.attention.output.dense.weight",
     "blk.{}.attn_output.weight"},
    {"layers.{}.attention.o_proj.bias", "bert.encoder.layer.{}.attention.output.dense.bias",
     "blk.{}.attn_output.bias"},
    {"layers.{}.attention_norm.weight", "bert.encoder.layer.{}.attention.output.LayerNorm.weight",
     "blk.{}.attn_output_norm.weight"},
    {"layers.{}.attention_norm.bias", "bert.encoder.layer.{}.attention.output.LayerNorm.bias",
     "blk.{}.attn_output_norm.bias"},
    {"layers.{}.feed_forward.up_proj.weight", "bert.encoder.layer.{}.intermediate.dense.weight",
     "blk.{}.ffn_up.weight"},
    {"layers.{}.feed_forward.up_proj.bias", "bert.encoder.layer.{}.intermediate.dense.bias",
     "blk.{}.ffn_up.bias"},
    {"layers.{}.feed_forward.down_proj.weight", "bert.encoder.layer.{}.output.dense.weight",
     "blk.{}.ffn_down.weight"},
    {"layers.{}.feed_forward.down_proj.bias", "bert.encoder.layer.{}.output.dense.bias",
     "blk.{}.ffn_down.bias"},
    {"layers.{}.feed_forward_norm.weight", "bert.encoder.layer.{}.output.LayerNorm.weight",
     "blk.{}.layer_output_norm.weight"},
    {"layers.{}.feed_forward_norm.bias", "bert.encoder.layer.{}.output.LayerNorm.bias",
     "blk.{}.layer_output_norm.bias"},
};
constexpr std::string_view kPrefixes[] = {"bert.", ""};
constexpr std::string_view kIgnored[] = {
    "**.embeddings.position_ids", "embeddings.position_ids", "**.pooler.**", "pooler.**", "cls.**", "cls"};

}  // namespace

const Family kBert{"bert", "bert", build, config_from_gguf, kWeights, kPrefixes, kIgnored};

}  // namespace martlet::models
