#pragma once

// The roles: small interfaces that say what may stand in a place of the tree.

#include <optional>

#include "nn/batch.h"
#include "nn/module.h"
#include "ops/linear.h"

namespace martlet::nn {

/// x [tokens, in] to y [tokens, out].
class Linear : public Module {
 public:
  static constexpr std::string_view kRole = "Linear";
  std::string_view role() const override { return kRole; }
  virtual Tensor forward(const Tensor& x) = 0;
  /// sum += forward(x), with the bits of that. What one overrides that can do so in one pass.
  virtual void add_to(Tensor& sum, const Tensor& x);
  /// Its matrix and bias where x W^T + bias is all that `forward` does; else nothing.
  virtual std::optional<ops::Projection> projection() const { return {}; }
  /// The mean cross-entropy of `logit_scale * forward(x)` with targets [tokens] i32, those equal to `ignored`
  /// left out: []. What a head overrides that can go from x to the loss without all logits.
  virtual Tensor cross_entropy(const Tensor& x, const Tensor& targets, int64_t ignored, float logit_scale);
  virtual int64_t in_features() const = 0;
  virtual int64_t out_features() const = 0;
};

/// Ids to rows [ids, hidden].
class Embedding : public Module {
 public:
  static constexpr std::string_view kRole = "Embedding";
  std::string_view role() const override { return kRole; }
  virtual Tensor forward(std::span<const int32_t> ids) = 0;
  virtual int64_t entries() const = 0;
  virtual int64_t hidden_size() const = 0;
};

/// x [..., n] to its normalised form of the same shape.
class Norm : public Module {
 public:
  static constexpr std::string_view kRole = "Norm";
  std::string_view role() const override { return kRole; }
  virtual Tensor forward(const Tensor& x) = 0;
  /// The same, rounded to a floating dtype. What a norm overrides that can do so in one pass.
  virtual Tensor forward_as(const Tensor& x, DType result);
  /// Its parameters where an RMS norm over the last dimension is all that `forward` does; else nothing.
  virtual std::optional<ops::RmsNormParameters> rms_norm() const { return {}; }
};

/// q [tokens, heads, head_dim], k and v [tokens, key_value_heads, ...] (positions applied) to [tokens, heads,
/// value_dim]. Behind a block's `forward_last`, q and the result have one row a sequence, that of its last
/// token.
class AttentionCore : public Module {
 public:
  static constexpr std::string_view kRole = "AttentionCore";
  std::string_view role() const override { return kRole; }
  virtual Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v, const Batch& batch) = 0;
};

/// Mixes tokens: [tokens, hidden] to [tokens, hidden].
class TokenMixer : public Module {
 public:
  static constexpr std::string_view kRole = "TokenMixer";
  std::string_view role() const override { return kRole; }
  virtual Tensor forward(const Tensor& x, const Batch& batch) = 0;
  /// sum += forward(norm(sum), batch), with the bits of that. What one overrides that can take the norm, or
  /// add, while it multiplies.
  virtual void add_normed_to(Tensor& sum, Norm& norm, const Batch& batch);
  /// Of `forward` the rows of each sequence's last token, bit for bit: [sequences, hidden]. A mixer that can
  /// leave out the others overrides it. Not recorded for a backward (see last_rows).
  virtual Tensor forward_last(const Tensor& x, const Batch& batch);
};

/// Each token by itself: [tokens, hidden] to [tokens, hidden].
class FeedForward : public Module {
 public:
  static constexpr std::string_view kRole = "FeedForward";
  std::string_view role() const override { return kRole; }
  virtual Tensor forward(const Tensor& x) = 0;
  /// sum += forward(norm(sum)), with the bits of that. What one overrides that can take the norm, or add,
  /// while it multiplies.
  virtual void add_normed_to(Tensor& sum, Norm& norm);
};

/// One layer: [tokens, hidden] to [tokens, hidden]. It may reuse the memory of x.
class Block : public Module {
 public:
  static constexpr std::string_view kRole = "Block";
  std::string_view role() const override { return kRole; }
  virtual Tensor forward(Tensor x, const Batch& batch) = 0;
  /// Of `forward` the rows of each sequence's last token, bit for bit: [sequences, hidden]. A block that can
  /// leave out the others overrides it; caches get the keys and values of all. Not recorded for a backward.
  virtual Tensor forward_last(Tensor x, const Batch& batch);
};

/// What a model is as a whole.
struct ModelShape {
  int64_t vocabulary_size = 0;
  int64_t hidden_size = 0;
  int64_t layers = 0;
  int64_t max_positions = 0;  ///< 0: no limit of its own
  /// Rows that the model puts before every sequence by itself; caches hold them too, and do not count them.
  int64_t lead_positions = 0;
  bool generates = true;  ///< has a head that predicts the next token
};

class Model : public Module {
 public:
  static constexpr std::string_view kRole = "Model";
  std::string_view role() const override { return kRole; }
  virtual const ModelShape& shape() const = 0;
  /// The last hidden states, normalised as the head wants them: [tokens, hidden].
  virtual Tensor hidden(const Batch& batch) = 0;
  /// Of `hidden` the rows of each sequence's last token, bit for bit: [sequences, hidden]. Enough to choose
  /// what follows a prompt. Every sequence has a token; nothing is recorded for a backward.
  virtual Tensor last_hidden(const Batch& batch);
  /// Next-token scores of rows of `hidden`: [rows, vocabulary] f32.
  virtual Tensor logits(const Tensor& hidden) = 0;
  /// The mean cross-entropy of `logits(hidden)` with targets [rows] i32, those equal to `ignored` left out:
  /// [].
  virtual Tensor loss(const Tensor& hidden, const Tensor& targets, int64_t ignored);
};

}  // namespace martlet::nn
