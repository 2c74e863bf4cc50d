#pragma once

// How fast this machine attends, measured with the kernels that models run on and with the shapes of the
// model at hand: head sizes and what shares keys make too much of a difference for one number.

#include "base/json.h"
#include "ops/key_value_tiles.h"

namespace martlet::plan {

/// The attention of a layer, as a run asks for it.
struct AttentionKind {
  int64_t heads = 0;
  int64_t key_value_heads = 0;
  int64_t head_dim = 0;
  ops::CacheFormat format = ops::CacheFormat::kF32;
  int64_t positions = 1;  ///< that a new token sees

  bool operator==(const AttentionKind&) const = default;
};

struct AttentionSpeed {
  AttentionKind kind;
  double token_seconds = 0;  ///< of a token that is decoded, its keys and values written to the cache too
  double pair_seconds = 0;   ///< of each pair of a prompt's token and a position that it sees
};

/// A fifth of a second. `memory`: u8, zeros, more than caches of the processor hold; keys and values lie
/// there.
AttentionSpeed measure_attention(const AttentionKind& kind, const Tensor& memory);

Json to_json(const AttentionSpeed& speed);

}  // namespace martlet::plan
