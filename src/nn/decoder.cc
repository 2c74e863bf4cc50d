#include "nn/decoder.h"

#include "autograd/record.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/unary.h"

namespace martlet::nn {

DecoderBlock::DecoderBlock(std::shared_ptr<Norm> its_attention_norm,
                           std::shared_ptr<TokenMixer> its_attention,
                           std::shared_ptr<Norm> its_feed_forward_norm,
                           std::shared_ptr<FeedForward> its_feed_forward, float residual_scale)
    : attention_norm(*this, "attention_norm", std::move(its_attention_norm)),
      attention(*this, "attention", std::move(its_attention)),
      attention_post_norm(*this, "attention_post_norm"),
      feed_forward_norm(*this, "feed_forward_norm", std::move(its_feed_forward_norm)),
      feed_forward(*this, "feed_forward", std::move(its_feed_forward)),
      feed_forward_post_norm(*this, "feed_forward_post_norm"),
      residual_scale_(residual_scale) {}

std::string DecoderBlock::details() const {
  return residual_scale_ == 1 ? std::string() : fmt::format("residual * {:g}", residual_scale_);
}

Tensor DecoderBlock::forward(Tensor x, const Batch& batch) {
  if (attention_post_norm || residual_scale_ != 1)
    add(x, attention->forward(attention_norm->forward(x), batch), attention_post_norm);
  else
    attention->add_normed_to(x, *attention_norm, batch);
  add_feed_forward(x);
  return x;
}

Tensor DecoderBlock::forward_last(Tensor x, const Batch& batch) {
  Tensor part = attention->forward_last(attention_norm->forward(x), batch);
  x = last_rows(x, batch);
  add(x, std::move(part), attention_post_norm);
  add_feed_forward(x);
  return x;
}

void DecoderBlock::add_feed_forward(Tensor& x) {
  if (feed_forward_post_norm || residual_scale_ != 1)
    add(x, feed_forward->forward(feed_forward_norm->forward(x)), feed_forward_post_norm);
  else
    feed_forward->add_normed_to(x, *feed_forward_norm);
}

void DecoderBlock::add(Tensor& x, Tensor part, const Child<Norm>& post_norm) const {
  if (post_norm) part = post_norm->forward(part);
  if (residual_scale_ != 1) ops::scale_in_place(part, residual_scale_);
  ops::add_in_place(x, part);
}

DecoderModel::DecoderModel(const ModelShape& shape, const DecoderOptions& options)
    : embed_tokens(*this, "embed_tokens"),
      embed_positions(*this, "embed_positions"),
      layers(*this, "layers", std::make_shared<ModuleList<Block>>()),
      norm(*this, "norm"),
      lm_head(*this, "lm_head"),
      shape_(shape),
      options_(options) {}

std::string DecoderModel::details() const {
  std::string text = fmt::format("hidden {}, vocabulary {}", shape_.hidden_size, shape_.vocabulary_size);
  if (options_.embedding_scale != 1) text += fmt::format(", embedding * {:g}", options_.embedding_scale);
  if (options_.logit_scale != 1) text += fmt::format(", logits * {:g}", options_.logit_scale);
  if (options_.logit_soft_cap != 0) text += fmt::format(", logits capped at {:g}", options_.logit_soft_cap);
  return text;
}

std::shared_ptr<DecoderModel> DecoderModel::first_layers(int64_t count) const {
  if (count <= 0 || count > shape_.layers)
    bad_input("{} layers were wanted of a model that has {}", count, shape_.layers);
  ModelShape shape = shape_;
  shape.layers = count;
  auto result = std::make_shared<DecoderModel>(shape, options_);
  result->embed_tokens.set(embed_tokens.get());
  result->embed_positions.set(embed_positions.get());
  for (const Slot* layer : layers->children().first(static_cast<size_t>(count)))
    result->layers->push_back(std::dynamic_pointer_cast<Block>(layer->module()));
  result->norm.set(norm.get());
  result->lm_head.set(lm_head.get());
  return result;
}

Tensor DecoderModel::embedded(const Batch& batch) {
  Tensor x = embed_tokens->forward(batch.ids());
  if (options_.embedding_scale != 1) ops::scale_in_place(x, options_.embedding_scale);
  if (embed_positions) ops::add_in_place(x, embed_positions->forward(batch.positions()));
  return x;
}

Tensor DecoderModel::hidden(const Batch& batch) {
  Tensor x = embedded(batch);
  for (size_t layer = 0; layer < layers->size(); ++layer) x = (*layers)[layer].forward(std::move(x), batch);
  return norm->forward(x);
}

Tensor DecoderModel::last_hidden(const Batch& batch) {
  if (layers->size() == 0 || batch.token_count() == batch.sequence_count()) return Model::last_hidden(batch);
  const autograd::NoGradient running;
  Tensor x = embedded(batch);
  const size_t last = layers->size() - 1;
  for (size_t layer = 0; layer < last; ++layer) x = (*layers)[layer].forward(std::move(x), batch);
  return norm->forward((*layers)[last].forward_last(std::move(x), batch));
}

Tensor DecoderModel::loss(const Tensor& hidden, const Tensor& targets, int64_t ignored) {
  if (options_.logit_soft_cap != 0) return Model::loss(hidden, targets, ignored);
  return lm_head->cross_entropy(hidden, targets, ignored, options_.logit_scale);
}

Tensor DecoderModel::logits(const Tensor& hidden) {
  Tensor scores = ops::cast(lm_head->forward(hidden), DType::kF32);
  if (options_.logit_scale != 1) ops::scale_in_place(scores, options_.logit_scale);
  if (options_.logit_soft_cap != 0) scores = ops::soft_cap(scores, options_.logit_soft_cap);
  return scores;
}

}  // namespace martlet::nn
