#pragma once

// Products of rows of signed bytes, once for each instruction set. Sums are exact integers: all give the
// same.

#include <cstdint>

namespace martlet::ops::cpu {

/// Rows of the matrix that are multiplied together.
inline constexpr int64_t kByteRows = 4;

/// sums[token][kByteRows]: rows of the matrix, `count` (at most kByteRows) of them one after another, times
/// each of `tokens` rows of x. Both have `columns` columns.
using ByteProduct = void (*)(const int8_t* rows, int64_t count, const int8_t* x, int64_t tokens,
                             int64_t columns, int32_t* sums);

void byte_product_portable(const int8_t* rows, int64_t count, const int8_t* x, int64_t tokens,
                           int64_t columns, int32_t* sums);
void byte_product_avx2(const int8_t* rows, int64_t count, const int8_t* x, int64_t tokens, int64_t columns,
                       int32_t* sums);
void byte_product_avx512vnni(const int8_t* rows, int64_t count, const int8_t* x, int64_t tokens,
                             int64_t columns, int32_t* sums);
/// The best that this processor has.
ByteProduct byte_product();

}  // namespace martlet::ops::cpu
