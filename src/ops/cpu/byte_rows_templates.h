#pragma once

// Written over what one instruction set does to `kWidth` bytes at a time: `Lanes::Sums` (integer sums),
// `Lanes::load` (bytes as 16-bit numbers), `Lanes::add_products`, `Lanes::total`. kRows rows share every load
// of x.

#include <cstdint>

#include "ops/cpu/byte_rows_kernels.h"

namespace martlet::ops::cpu {
namespace {

template <typename Lanes, int kRows>
void byte_sums(const int8_t* rows, const int8_t* x, int64_t columns, int32_t* sums) {
  typename Lanes::Sums lanes[kRows] = {};
  int64_t k = 0;
  for (; k + Lanes::kWidth <= columns; k += Lanes::kWidth) {
    const auto values = Lanes::load(x + k);
    for (int row = 0; row < kRows; ++row)
      lanes[row] = Lanes::add_products(lanes[row], Lanes::load(rows + row * columns + k), values);
  }
  for (int row = 0; row < kRows; ++row) {
    sums[row] = Lanes::total(lanes[row]);
    for (int64_t rest = k; rest < columns; ++rest) sums[row] += rows[row * columns + rest] * x[rest];
  }
}

template <typename Lanes>
void byte_product_of(const int8_t* rows, int64_t count, const int8_t* x, int64_t tokens, int64_t columns,
                     int32_t* sums) {
  for (int64_t token = 0; token < tokens; ++token, x += columns, sums += kByteRows) {
    if (count == kByteRows)
      byte_sums<Lanes, kByteRows>(rows, x, columns, sums);
    else
      for (int64_t row = 0; row < count; ++row)
        byte_sums<Lanes, 1>(rows + row * columns, x, columns, sums + row);
  }
}

}  // namespace
}  // namespace martlet::ops::cpu
