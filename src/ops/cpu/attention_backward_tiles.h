#pragma once

// What the driver of attention's backward (threads, conversion) and its kernels (one file an instruction set,
// arithmetic) say to each other.
//
// A unit is one sequence with one key/value head and all query heads that share it: nothing that another unit
// adds to, so that units may be computed by any threads in any order. Within it tiles of keys are taken one
// after another, and for each the tiles of rows; this order of sums depends on nothing but the shapes.

#include <cstdint>

namespace martlet::ops::cpu {

/// Keys and rows of a tile (an even number): five blocks of 64 x 64 scores and of 64 x 128 operands stay in a
/// second-level cache of 512 KiB.
inline constexpr int64_t kBackwardTile = 64;

/// All rows are f32 and dense; `q_pitch` and `v_pitch` are head_dim and value_dim rounded up to 16, with
/// zeros behind. Row r is query r / group and head r % group of those that share.
struct AttentionBackwardUnit {
  int64_t queries = 0, group = 0, keys = 0;
  int64_t q_pitch = 0, v_pitch = 0;

  const float* q = nullptr;           // [rows, q_pitch]
  const float* dy = nullptr;          // [rows, v_pitch]
  const float* key_rows = nullptr;    // [keys, q_pitch]
  const float* value_rows = nullptr;  // [keys, v_pitch]
  const float* log_sums = nullptr;    // [rows], infinity where there is nothing to sum
  const float* deltas = nullptr;      // [rows]: the sum of dy times the result

  float* dq = nullptr;  // these three are added to
  float* dkeys = nullptr;
  float* dvalues = nullptr;

  int64_t first_position = 0;  // of query 0, counted like the keys
  bool causal = true;
  int64_t window = 0;
  float scale = 1;
  float soft_cap = 0;
  const float* bias = nullptr;  // of query 0, head 0 and key 0, or null
  int64_t bias_query_stride = 0, bias_head_stride = 0;
  float* dbias = nullptr;  // likewise; written
  int64_t dbias_query_stride = 0, dbias_head_stride = 0;

  float* scratch = nullptr;  // as the kernel asks for
};

struct AttentionBackwardKernel {
  void (*run)(const AttentionBackwardUnit& unit);
  /// Floats of scratch for a unit of these sizes.
  int64_t (*scratch_floats)(const AttentionBackwardUnit& unit);
};

const AttentionBackwardKernel& attention_backward_portable();
const AttentionBackwardKernel& attention_backward_avx2();
const AttentionBackwardKernel& attention_backward_avx512();
/// For operands that are bf16: weights and the gradients of scores are rounded to it as well, for the
/// products that they enter (as FlashAttention does, Dao 2023); sums are f32.
const AttentionBackwardKernel& attention_backward_avx512bf16();

}  // namespace martlet::ops::cpu
