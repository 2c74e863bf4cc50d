#pragma once

// Squares of words turned in registers: what packing the factors of a product is made of.

#include <cstddef>
#include <cstdint>

namespace martlet::ops::cpu {

/// to[c][r] = from[r][c] of sixteen by sixteen words of four bytes, rows `from_stride` and `to_stride` bytes
/// apart.
using TransposeSquare = void (*)(const std::byte* from, int64_t from_stride, std::byte* to,
                                 int64_t to_stride);

/// The best that this processor has (see limit_cpu_features).
TransposeSquare transpose_square();

void transpose_square_portable(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride);
void transpose_square_avx2(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride);

}  // namespace martlet::ops::cpu
