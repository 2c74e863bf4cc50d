#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// One sequence of a ragged batch: rows [query_begin, query_begin + query_count) of q attend to its own keys
/// and values.
struct AttentionSequence {
  int64_t query_begin = 0;
  int64_t query_count = 0;
  Tensor
      keys;  ///< [key_count, key_value_heads, head_dim] f32, bf16 or f16, any strides but dense in head_dim
  Tensor values;  ///< [key_count, key_value_heads, value_dim]
};

struct AttentionOptions {
  float scale = 1.0f;  ///< scores are multiplied by this
  bool causal = true;  ///< the last query sees all keys; the one before one less, and so on
  int64_t window = 0;  ///< a query sees itself and window - 1 keys before it; 0: no window
  float soft_cap = 0;  ///< scores become cap * tanh(score / cap); 0: none
  Tensor sinks;        ///< [heads] f32: an extra logit of each head in the softmax's sum; or nothing
  Tensor bias;         ///< additive, [heads or 1, queries of the batch, longest key_count] f32; or nothing
};

/// Softmax(q k^T * scale) v for every sequence and head; query head h reads key/value head h / (heads /
/// key_value_heads). q: [tokens, heads, head_dim] f32 or bf16; result: [tokens, heads, value_dim] of q's
/// dtype. Tiled with a running maximum: scores are never whole in memory (Milakov and Gimelshein, "Online
/// normalizer calculation for softmax", 2018; Dao et al., "FlashAttention", 2022). Key tiles start at
/// multiples of a fixed size from key 0, so that a query's output has the same bits alone, in a batch,
/// decoded or prefilled, whatever the threads. A query with no key to see gives zeros.
Tensor attention(const Tensor& q, std::span<const AttentionSequence> sequences,
                 const AttentionOptions& options);
Cost attention_cost(const Shape& q, std::span<const AttentionSequence> sequences,
                    const AttentionOptions& options);

}  // namespace martlet::ops
