#include "nn/layers.h"

#include <array>

#include "nn/tree.h"
#include "ops/binary.h"
#include "ops/embedding.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/linear_cross_entropy.h"
#include "ops/rms_norm.h"

namespace martlet::nn {
namespace {

std::shared_ptr<Linear> affine(int64_t in_features, int64_t out_features, bool has_bias) {
  return std::make_shared<AffineLinear>(in_features, out_features, has_bias);
}

}  // namespace

AffineLinear::AffineLinear(int64_t in_features, int64_t out_features, bool has_bias)
    : weight(*this, "weight", {out_features, in_features}) {
  if (has_bias) bias.emplace(*this, "bias", Shape{out_features});
}

Tensor AffineLinear::forward(const Tensor& x) {
  return ops::linear(x, weight.weight(), bias ? bias->tensor() : Tensor());
}

void AffineLinear::add_to(Tensor& sum, const Tensor& x) {
  ops::add_linear_in_place(sum, x, weight.weight(), bias ? bias->tensor() : Tensor());
}

std::optional<ops::Projection> AffineLinear::projection() const {
  return ops::Projection{&weight.weight(), bias ? bias->tensor() : Tensor()};
}

Tensor AffineLinear::cross_entropy(const Tensor& x, const Tensor& targets, int64_t ignored,
                                   float logit_scale) {
  if (bias || weight.type_name() != martlet::name_of(DType::kF32))
    return Linear::cross_entropy(x, targets, ignored, logit_scale);
  return ops::linear_cross_entropy(x, weight.weight(), targets,
                                   {.logit_scale = logit_scale, .ignore_index = ignored});
}

std::vector<Tensor> forward_together(const Tensor& x, std::span<Linear* const> linears, Norm* norm) {
  std::vector<ops::Projection> projections;
  projections.reserve(linears.size());
  for (const Linear* linear : linears)
    if (std::optional<ops::Projection> projection = linear->projection())
      projections.push_back(*std::move(projection));
  const bool are_projections = projections.size() == linears.size();
  const auto parameters = norm == nullptr || !are_projections ? std::nullopt : norm->rms_norm();
  if (norm != nullptr && !parameters) return forward_together(norm->forward(x), linears);
  if (are_projections) return ops::linear_together(x, projections, parameters);
  std::vector<Tensor> results;
  for (Linear* linear : linears) results.push_back(linear->forward(x));
  return results;
}

TableEmbedding::TableEmbedding(int64_t entries, int64_t hidden_size)
    : weight(*this, "weight", {entries, hidden_size}) {}

Tensor TableEmbedding::forward(std::span<const int32_t> ids) {
  return ops::embedding(ids, weight.weight());
}

RmsNorm::RmsNorm(int64_t size, double epsilon, float offset)
    : weight(*this, "weight", {size}), epsilon_(static_cast<float>(epsilon)), offset_(offset) {}

std::string RmsNorm::details() const {
  return offset_ == 0 ? fmt::format("eps {:g}", epsilon_)
                      : fmt::format("eps {:g}, weight + {:g}", epsilon_, offset_);
}

Tensor RmsNorm::forward(const Tensor& x) {
  return ops::rms_norm(x, weight.tensor(), epsilon_, offset_);
}

Tensor RmsNorm::forward_as(const Tensor& x, DType result) {
  return ops::rms_norm(x, weight.tensor(), epsilon_, offset_, result);
}

std::optional<ops::RmsNormParameters> RmsNorm::rms_norm() const {
  return ops::RmsNormParameters{weight.tensor(), epsilon_, offset_};
}

LayerNorm::LayerNorm(int64_t size, double epsilon, bool has_bias)
    : weight(*this, "weight", {size}), epsilon_(static_cast<float>(epsilon)) {
  if (has_bias) bias.emplace(*this, "bias", Shape{size});
}

std::string LayerNorm::details() const {
  return fmt::format("eps {:g}", epsilon_);
}

Tensor LayerNorm::forward(const Tensor& x) {
  return ops::layer_norm(x, weight.tensor(), bias ? bias->tensor() : Tensor(), epsilon_);
}

ops::Unary activation_named(std::string_view name) {
  const auto activation = ops::find_activation(name);
  if (!activation) bad_input("unknown activation \"{}\"; known are {}", name, ops::activation_names());
  return *activation;
}

GatedFeedForward::GatedFeedForward(int64_t hidden_size, int64_t intermediate_size, ops::Unary activation,
                                   bool has_bias)
    : gate_proj(*this, "gate_proj", affine(hidden_size, intermediate_size, has_bias)),
      up_proj(*this, "up_proj", affine(hidden_size, intermediate_size, has_bias)),
      down_proj(*this, "down_proj", affine(intermediate_size, hidden_size, has_bias)),
      activation_(activation) {}

Tensor GatedFeedForward::inner(const Tensor& x, Norm* norm) {
  const auto gate_projection = gate_proj->projection(), up_projection = up_proj->projection();
  const bool are_projections = gate_projection && up_projection;
  const auto parameters = norm == nullptr || !are_projections ? std::nullopt : norm->rms_norm();
  if (norm != nullptr && !parameters) return inner(norm->forward(x));
  if (are_projections) return ops::gated_linear(activation_, x, *gate_projection, *up_projection, parameters);
  Tensor gate = gate_proj->forward(x);
  ops::gated_in_place(activation_, gate, up_proj->forward(x));
  return gate;
}

Tensor GatedFeedForward::forward(const Tensor& x) {
  return down_proj->forward(inner(x));
}

void GatedFeedForward::add_normed_to(Tensor& sum, Norm& norm) {
  down_proj->add_to(sum, inner(sum, &norm));
}

PlainFeedForward::PlainFeedForward(int64_t hidden_size, int64_t intermediate_size, ops::Unary activation,
                                   bool has_bias)
    : up_proj(*this, "up_proj", affine(hidden_size, intermediate_size, has_bias)),
      down_proj(*this, "down_proj", affine(intermediate_size, hidden_size, has_bias)),
      activation_(activation) {}

Tensor PlainFeedForward::inner(const Tensor& x) {
  Tensor up = up_proj->forward(x);
  ops::unary_in_place({activation_}, up);
  return up;
}

Tensor PlainFeedForward::forward(const Tensor& x) {
  return down_proj->forward(inner(x));
}

void PlainFeedForward::add_normed_to(Tensor& sum, Norm& norm) {
  down_proj->add_to(sum, inner(norm.forward(sum)));
}

std::string SoftmaxAttention::details() const {
  std::string text = options_.causal ? "causal" : "bidirectional";
  if (options_.window > 0) text += fmt::format(", window {}", options_.window);
  if (options_.soft_cap > 0) text += fmt::format(", soft cap {:g}", options_.soft_cap);
  if (cache_format_ != ops::CacheFormat::kF32) text += fmt::format(", cache {}", ops::name_of(cache_format_));
  return text;
}

Tensor SoftmaxAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v, const Batch& batch) {
  std::vector<ops::AttentionSequence> sequences;
  sequences.reserve(static_cast<size_t>(batch.sequence_count()));
  const bool last = q.dim(0) != k.dim(0);
  for (int64_t i = 0; i < batch.sequence_count(); ++i) {
    const int64_t begin = batch.begin(i);
    const int64_t end = batch.end(i);
    ops::AttentionSequence sequence{last ? i : begin, last ? 1 : end - begin, k.slice(0, begin, end),
                                    v.slice(0, begin, end)};
    if (KvCache* cache = batch.cache(i))
      sequence.tiles = cache->append(layer_, cache_format_, sequence.keys, sequence.values);
    sequences.push_back(std::move(sequence));
  }
  return ops::attention(q, sequences, options_);
}

std::shared_ptr<SoftmaxAttention> SoftmaxAttention::with_cache_format(ops::CacheFormat format) const {
  auto result = std::make_shared<SoftmaxAttention>(layer_, options_);
  result->cache_format_ = format;
  return result;
}

Attention::Attention(const AttentionShape& shape, std::shared_ptr<const ops::RopeScaling> rope,
                     std::shared_ptr<AttentionCore> mixing)
    : q_proj(*this, "q_proj", affine(shape.hidden_size, shape.heads * shape.head_dim, shape.qkv_bias)),
      k_proj(*this, "k_proj",
             affine(shape.hidden_size, shape.key_value_heads * shape.head_dim, shape.qkv_bias)),
      v_proj(*this, "v_proj",
             affine(shape.hidden_size, shape.key_value_heads * shape.head_dim, shape.qkv_bias)),
      o_proj(*this, "o_proj", affine(shape.heads * shape.head_dim, shape.hidden_size, shape.output_bias)),
      q_norm(*this, "q_norm"),
      k_norm(*this, "k_norm"),
      core(*this, "core", std::move(mixing)),
      shape_(shape),
      rope_(std::move(rope)) {}

std::string Attention::details() const {
  return fmt::format("{} heads, {} for keys and values, of {}{}", shape_.heads, shape_.key_value_heads,
                     shape_.head_dim, rope_ == nullptr ? ", no rotation" : "");
}

Tensor Attention::mixed(const Tensor& x, const Batch& batch, Norm* norm) {
  const std::vector<Tensor> all =
      forward_together(x, std::array{q_proj.get().get(), k_proj.get().get(), v_proj.get().get()}, norm);
  return attended(all[0], all[1], all[2], batch);
}

Tensor Attention::attended(const Tensor& projected_q, const Tensor& projected_k, const Tensor& projected_v,
                           const Batch& batch) {
  const int64_t queries = projected_q.dim(0);
  const int64_t tokens = projected_k.dim(0);
  Tensor q = projected_q.reshape({queries, shape_.heads, shape_.head_dim});
  Tensor k = projected_k.reshape({tokens, shape_.key_value_heads, shape_.head_dim});
  const Tensor v = projected_v.reshape({tokens, shape_.key_value_heads, shape_.head_dim});
  if (q_norm) q = q_norm->forward(q);
  if (k_norm) k = k_norm->forward(k);
  if (rope_ != nullptr) {
    const ops::RopeTable& table = batch.rope_table(*rope_);
    ops::rope_in_place(k, table);
    if (queries == tokens)
      ops::rope_in_place(q, table);
    else
      ops::rope_in_place(q, {last_rows(table.cosine, batch), last_rows(table.sine, batch)});
  }
  return core->forward(q, k, v, batch).reshape({queries, shape_.heads * shape_.head_dim});
}

Tensor Attention::forward(const Tensor& x, const Batch& batch) {
  return o_proj->forward(mixed(x, batch));
}

Tensor Attention::forward_last(const Tensor& x, const Batch& batch) {
  const std::vector<Tensor> all = forward_together(x, std::array{k_proj.get().get(), v_proj.get().get()});
  return o_proj->forward(attended(q_proj->forward(last_rows(x, batch)), all[0], all[1], batch));
}

void Attention::add_normed_to(Tensor& sum, Norm& norm, const Batch& batch) {
  o_proj->add_to(sum, mixed(sum, batch, &norm));
}

int64_t cache_tile_bytes(const AttentionShape& shape, ops::CacheFormat format) {
  return shape.key_value_heads *
         (ops::key_tile_bytes(format, shape.head_dim) + ops::value_tile_bytes(format, shape.head_dim));
}

int64_t cache_tile_bytes(const ModulePtr& tree) {
  int64_t bytes = 0;
  const AttentionShape* shape = nullptr;
  walk(tree, [&](const std::string&, const ModulePtr& module) {
    if (const auto* attention = dynamic_cast<const Attention*>(module.get())) shape = &attention->shape();
    const auto* core = dynamic_cast<const SoftmaxAttention*>(module.get());
    if (core != nullptr && shape != nullptr) bytes += cache_tile_bytes(*shape, core->cache_format());
  });
  return bytes;
}

}  // namespace martlet::nn
