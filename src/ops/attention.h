#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/kernel.h"
#include "ops/key_value_tiles.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// One sequence of a ragged batch: rows [query_begin, query_begin + query_count) of q attend to its own keys
/// and values, or to those of a cache.
struct AttentionSequence {
  int64_t query_begin = 0;
  int64_t query_count = 0;
  /// [key_count, key_value_heads, head_dim] f32, bf16 or f16, any strides but dense in head_dim.
  Tensor keys;
  Tensor values;             ///< [key_count, key_value_heads, value_dim], likewise
  KeyValueTiles tiles = {};  ///< where defined, in the place of both; no gradient passes through them

  int64_t key_count() const { return tiles.defined() ? tiles.count : keys.dim(0); }
  int64_t key_value_heads() const { return tiles.defined() ? tiles.key_value_heads() : keys.dim(1); }
  int64_t value_dim() const { return tiles.defined() ? tiles.value_dim : values.dim(2); }
};

struct AttentionOptions {
  float scale = 1.0f;  ///< scores are multiplied by this
  /// The last query sees all keys, the one before it one less, and so on; without it every query sees all
  /// keys.
  bool causal = true;
  /// A query sees itself and window - 1 keys before it (and, when not causal, as many after it); 0: no
  /// window.
  int64_t window = 0;
  float soft_cap = 0;  ///< scores become cap * tanh(score / cap); 0: none
  Tensor sinks = {};   ///< [heads] f32: an extra logit of each head in the softmax's sum; or nothing
  /// Added to the scores after the cap: [heads or 1, tokens, longest key_count or more] f32, any strides but
  /// dense in the last dimension; -inf hides a key; or nothing.
  Tensor bias = {};
};

/// Softmax(q k^T * scale) v for every sequence and head; query head h reads key/value head h / (heads /
/// key_value_heads). q: [tokens, heads, head_dim] f32 or bf16, any strides but dense in head_dim; result:
/// [tokens, heads, value_dim] of q's dtype. Sequences stand in the order of their queries and share none;
/// tokens of no sequence give zeros, and so does a query that sees no key. Where `log_sum_exp` is given it
/// becomes [tokens, heads] f32: the logarithm of the softmax's sum, sinks included; -inf where there is
/// nothing to sum.
///
/// Tiled with a running maximum: scores are never whole in memory (Milakov and Gimelshein, "Online normalizer
/// calculation for softmax", 2018; Dao et al., "FlashAttention", 2022). Key tiles start at multiples of a
/// fixed size from key 0, so that a query's output has the same bits alone, in a batch, decoded or prefilled,
/// whatever the threads. On the device for reference, tiles are unpacked first. Gradients reach q, keys,
/// values, sinks and bias; `log_sum_exp` has none.
Tensor attention(const Tensor& q, std::span<const AttentionSequence> sequences,
                 const AttentionOptions& options, Tensor* log_sum_exp = nullptr);
Cost attention_cost(const Shape& q, std::span<const AttentionSequence> sequences,
                    const AttentionOptions& options);

}  // namespace martlet::ops
