#pragma once

// Attention after its checks, as its kernels take it.

#include "ops/attention.h"

namespace martlet::ops {

struct AttentionProblem {
  const Tensor& q;  // [tokens, heads, head_dim]
  std::span<const AttentionSequence> sequences;
  const AttentionOptions& options;
  Tensor result;       // [tokens, heads, value_dim], zeros where no sequence has the token
  Tensor log_sum_exp;  // [tokens, heads], or nothing
  int64_t key_value_heads = 0;
  int64_t value_dim = 0;
};

inline Cost cost_of(const AttentionProblem& problem) {
  Cost cost = attention_cost(problem.q.shape(), problem.sequences, problem.options);
  cost.kind = "attention";
  return cost;
}

/// The definition in double, one query and head at a time.
void attention_reference(const AttentionProblem& problem);

namespace cpu {
struct AttentionKernels;
/// Shares the work out between threads and calls the kernels of one instruction set for the tiles.
void run_attention(const AttentionProblem& problem, const AttentionKernels& kernels);
}  // namespace cpu

}  // namespace martlet::ops
