#pragma once

// The plain modules of which models are built.

#include <optional>

#include "nn/roles.h"
#include "ops/activation.h"
#include "ops/attention.h"

namespace martlet::nn {

/// y = x W^T + b; W [out, in], dense or packed.
class AffineLinear final : public Linear {
 public:
  AffineLinear(int64_t in_features, int64_t out_features, bool has_bias);
  std::string_view kind() const override { return "AffineLinear"; }
  Tensor forward(const Tensor& x) override;
  void add_to(Tensor& sum, const Tensor& x) override;
  std::optional<ops::Projection> projection() const override;
  Tensor cross_entropy(const Tensor& x, const Tensor& targets, int64_t ignored, float logit_scale) override;
  int64_t in_features() const override { return weight.shape()[1]; }
  int64_t out_features() const override { return weight.shape()[0]; }

  Parameter weight;
  std::optional<Parameter> bias;
};

/// Each one's `forward` of the same x, in order; at once where all are projections. With a norm: of norm(x).
std::vector<Tensor> forward_together(const Tensor& x, std::span<Linear* const> linears, Norm* norm = nullptr);

/// Rows of a table [entries, hidden].
class TableEmbedding final : public Embedding {
 public:
  TableEmbedding(int64_t entries, int64_t hidden_size);
  std::string_view kind() const override { return "TableEmbedding"; }
  Tensor forward(std::span<const int32_t> ids) override;
  int64_t entries() const override { return weight.shape()[0]; }
  int64_t hidden_size() const override { return weight.shape()[1]; }

  Parameter weight;
};

/// Root-mean-square norm; `offset` is added to the weight (Gemma stores weight - 1).
class RmsNorm final : public Norm {
 public:
  RmsNorm(int64_t size, double epsilon, float offset = 0);
  std::string_view kind() const override { return "RmsNorm"; }
  float offset() const { return offset_; }
  std::string details() const override;
  Tensor forward(const Tensor& x) override;
  Tensor forward_as(const Tensor& x, DType result) override;
  std::optional<ops::RmsNormParameters> rms_norm() const override;

  Parameter weight;

 private:
  float epsilon_;
  float offset_;
};

class LayerNorm final : public Norm {
 public:
  LayerNorm(int64_t size, double epsilon, bool has_bias = true);
  std::string_view kind() const override { return "LayerNorm"; }
  std::string details() const override;
  Tensor forward(const Tensor& x) override;

  Parameter weight;
  std::optional<Parameter> bias;

 private:
  float epsilon_;
};

/// The function that a config calls `name`; throws BadInput listing those known.
ops::Unary activation_named(std::string_view name);

/// down(act(gate(x)) * up(x)). Shazeer, "GLU Variants Improve Transformer", 2020.
class GatedFeedForward final : public FeedForward {
 public:
  GatedFeedForward(int64_t hidden_size, int64_t intermediate_size, ops::Unary activation, bool has_bias);
  std::string_view kind() const override { return "GatedFeedForward"; }
  ops::Unary activation() const { return activation_; }
  std::string details() const override { return std::string(ops::name_of(activation_)); }
  Tensor forward(const Tensor& x) override;
  void add_normed_to(Tensor& sum, Norm& norm) override;

  Child<Linear> gate_proj;
  Child<Linear> up_proj;
  Child<Linear> down_proj;

 private:
  /// What goes into down_proj. With a norm: of norm(x).
  Tensor inner(const Tensor& x, Norm* norm = nullptr);

  ops::Unary activation_;
};

/// down(act(up(x))).
class PlainFeedForward final : public FeedForward {
 public:
  PlainFeedForward(int64_t hidden_size, int64_t intermediate_size, ops::Unary activation, bool has_bias);
  std::string_view kind() const override { return "PlainFeedForward"; }
  ops::Unary activation() const { return activation_; }
  std::string details() const override { return std::string(ops::name_of(activation_)); }
  Tensor forward(const Tensor& x) override;
  void add_normed_to(Tensor& sum, Norm& norm) override;

  Child<Linear> up_proj;
  Child<Linear> down_proj;

 private:
  Tensor inner(const Tensor& x);

  ops::Unary activation_;
};

/// Softmax attention over each sequence's own keys, cached where the batch has a cache.
class SoftmaxAttention final : public AttentionCore {
 public:
  /// `layer` is its number in every KvCache.
  SoftmaxAttention(int64_t layer, ops::AttentionOptions options)
      : layer_(layer), options_(std::move(options)) {}
  std::string_view kind() const override { return "SoftmaxAttention"; }
  std::string details() const override;
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v, const Batch& batch) override;
  const ops::AttentionOptions& options() const { return options_; }
  /// How its keys and values are kept in a cache.
  ops::CacheFormat cache_format() const { return cache_format_; }
  /// The same with another format.
  std::shared_ptr<SoftmaxAttention> with_cache_format(ops::CacheFormat format) const;

 private:
  int64_t layer_;
  ops::AttentionOptions options_;
  ops::CacheFormat cache_format_ = ops::CacheFormat::kF32;
};

struct AttentionShape {
  int64_t hidden_size = 0;
  int64_t heads = 0;
  int64_t key_value_heads = 0;
  int64_t head_dim = 0;
  bool qkv_bias = false;
  bool output_bias = false;
};

/// Projects to heads, normalises them if there are norms, rotates them if there is a rotation, mixes,
/// projects back.
class Attention final : public TokenMixer {
 public:
  /// `rope` may be null: no rotation. `core` mixes the tokens.
  Attention(const AttentionShape& shape, std::shared_ptr<const ops::RopeScaling> rope,
            std::shared_ptr<AttentionCore> core);
  std::string_view kind() const override { return "Attention"; }
  const AttentionShape& shape() const { return shape_; }
  /// Null: no rotation.
  const ops::RopeScaling* rope() const { return rope_.get(); }
  std::string details() const override;
  Tensor forward(const Tensor& x, const Batch& batch) override;
  void add_normed_to(Tensor& sum, Norm& norm, const Batch& batch) override;
  Tensor forward_last(const Tensor& x, const Batch& batch) override;

  Child<Linear> q_proj;
  Child<Linear> k_proj;
  Child<Linear> v_proj;
  Child<Linear> o_proj;
  Child<Norm> q_norm;  ///< over head_dim; empty unless set
  Child<Norm> k_norm;
  Child<AttentionCore> core;

 private:
  /// What the core gives, its heads side by side: [tokens, heads * head_dim]. With a norm: of norm(x).
  Tensor mixed(const Tensor& x, const Batch& batch, Norm* norm = nullptr);
  /// The same of what was projected; q: of every token, or of each sequence's last alone.
  Tensor attended(const Tensor& q, const Tensor& k, const Tensor& v, const Batch& batch);

  AttentionShape shape_;
  std::shared_ptr<const ops::RopeScaling> rope_;
};

/// What one tile of positions (ops::KeyValueTiles::kPositions) of one sequence takes in the cache of one
/// layer.
int64_t cache_tile_bytes(const AttentionShape& shape, ops::CacheFormat format);
/// In all layers together, as the tree's attentions keep it.
int64_t cache_tile_bytes(const ModulePtr& tree);

}  // namespace martlet::nn
