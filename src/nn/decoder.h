#pragma once

// The decoder that most families share: pre-norm blocks between an embedding and a head.

#include "nn/layers.h"

namespace martlet::nn {

/// x += residual_scale * post(attention(norm(x))); x += residual_scale * post(feed_forward(norm(x))).
class DecoderBlock final : public Block {
 public:
  DecoderBlock(std::shared_ptr<Norm> attention_norm, std::shared_ptr<TokenMixer> attention,
               std::shared_ptr<Norm> feed_forward_norm, std::shared_ptr<FeedForward> feed_forward,
               float residual_scale = 1);
  std::string_view kind() const override { return "DecoderBlock"; }
  std::string details() const override;
  Tensor forward(Tensor x, const Batch& batch) override;
  Tensor forward_last(Tensor x, const Batch& batch) override;

  Child<Norm> attention_norm;
  Child<TokenMixer> attention;
  Child<Norm> attention_post_norm;  ///< empty unless set
  Child<Norm> feed_forward_norm;
  Child<FeedForward> feed_forward;
  Child<Norm> feed_forward_post_norm;  ///< empty unless set

 private:
  /// x += residual_scale * post_norm(part).
  void add(Tensor& x, Tensor part, const Child<Norm>& post_norm) const;
  /// x += residual_scale * post(feed_forward(norm(x))).
  void add_feed_forward(Tensor& x);

  float residual_scale_;
};

struct DecoderOptions {
  float embedding_scale = 1;  ///< the embedding is multiplied by this
  float logit_scale = 1;      ///< and the logits by this
  float logit_soft_cap = 0;   ///< logits become cap * tanh(logits / cap); 0: none
};

/// embed_tokens (+ embed_positions), layers, norm, lm_head.
class DecoderModel final : public Model {
 public:
  DecoderModel(const ModelShape& shape, const DecoderOptions& options);
  std::string_view kind() const override { return "DecoderModel"; }
  std::string details() const override;
  const ModelShape& shape() const override { return shape_; }
  /// A model of the first `count` blocks alone, between the same embedding, norm and head: all its modules
  /// are this one's. Throws BadInput unless 0 < count <= layers.
  std::shared_ptr<DecoderModel> first_layers(int64_t count) const;
  Tensor hidden(const Batch& batch) override;
  Tensor last_hidden(const Batch& batch) override;
  Tensor logits(const Tensor& hidden) override;
  Tensor loss(const Tensor& hidden, const Tensor& targets, int64_t ignored) override;

  Child<Embedding> embed_tokens;
  Child<Embedding> embed_positions;  ///< learned positions; empty unless set
  Child<ModuleList<Block>> layers;
  Child<Norm> norm;
  Child<Linear> lm_head;

 private:
  /// What the first block takes.
  Tensor embedded(const Batch& batch);

  ModelShape shape_;
  DecoderOptions options_;
};

}  // namespace martlet::nn
