#pragma once

// The backward of attention, as attention.cc records it.

#include "ops/attention_problem.h"

namespace martlet::ops {

/// Gradients in f32, dense; only those that are wanted are defined. Those of q and bias are zeros before,
/// since tokens of no sequence and hidden keys keep that; the others are written whole.
struct AttentionGradients {
  Tensor q;                    ///< [tokens, heads, head_dim]
  std::vector<Tensor> keys;    ///< of each sequence [key_count, key_value_heads, head_dim]
  std::vector<Tensor> values;  ///< of each sequence [key_count, key_value_heads, value_dim]
  Tensor sinks;                ///< [heads]
  Tensor bias;                 ///< [heads, tokens, the bias's keys], before heads that share it are added
};

struct AttentionBackward {
  const AttentionProblem& problem;  ///< the forward with its result and log_sum_exp
  const Tensor& gradient;           ///< of the result, dense in value_dim
  AttentionGradients& out;
};

/// Scores and the gradients of values, weights, queries and keys: five products for the forward's two.
inline Cost cost_of(const AttentionBackward& backward) {
  const Cost forward = cost_of(backward.problem);
  return {2.5 * forward.operations, 2 * (forward.bytes_read + forward.bytes_written), forward.bytes_read,
          forward.kind};
}

/// Records the attention whose result is `result`; the scores are computed again, tile by tile, from q, the
/// keys and the logarithms of the sums. Dao, "FlashAttention-2", 2023.
void record_attention(const AttentionProblem& problem, Tensor& result);

/// The definition in double, one query and head at a time.
void attention_backward_reference(const AttentionBackward& backward);

namespace cpu {
struct AttentionBackwardKernel;
/// Shares the work out between threads and calls the kernel of one instruction set.
void run_attention_backward(const AttentionBackward& backward, const AttentionBackwardKernel& kernel);
}  // namespace cpu

}  // namespace martlet::ops
