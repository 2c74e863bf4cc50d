#pragma once

// The rotation as the operation hands it to its kernels: plain pointers and strides, in elements.

#include <cstdint>

#include "tensor/dtype.h"

namespace martlet::ops::cpu {

/// Rows [token_begin, token_end) of one tensor, every head of it. `to` may be `from`.
struct RopeRows {
  DType dtype = DType::kF32;  // f32 or bf16
  const void* from = nullptr;
  void* to = nullptr;
  int64_t from_token_stride = 0, from_head_stride = 0;
  int64_t to_token_stride = 0, to_head_stride = 0;
  int64_t token_begin = 0, token_end = 0;
  int64_t heads = 0;
  int64_t pairs = 0;              // dimensions / 2
  const float* cosine = nullptr;  // [tokens, pairs]
  const float* sine = nullptr;
};

void rope_avx2(const RopeRows& rows);
void rope_avx512(const RopeRows& rows);

}  // namespace martlet::ops::cpu
