#pragma once

// Loops for many rows of activations, where what a slice of a group asks for once is shared by dozens of
// tiles: its codes are taken out of their planes into the L1 cache, a byte each. Of eight bits they are
// already; formats whose tiles wait for products alone need no such loops.

#include <utility>

#include "ops/cpu/linear_int8_pairs.h"
#include "ops/cpu/linear_int8_tiles.h"

namespace martlet::ops::cpu {
namespace {

/// No tile of two dozen rows or more is narrower.
constexpr int kLeastManyColumns = 7;

template <typename Codes>
void expand(const std::byte* planes, int64_t blocks, std::byte* codes) {
  for (int64_t block = 0; block < blocks; ++block, planes += Codes::kBytes, codes += ExpandedCodes::kBytes)
    unrolled<kVectors>(
        [&](auto j) { store_bytes(codes + j.value * kVectorBytes, Codes::template at<j.value>(planes)); });
}

template <typename Form, typename Codes, const InterleavedFormat& kFormat, bool kInPairs>
void read_chunk(const std::byte* chunk, int64_t blocks, float* factors, std::byte* codes) {
  Form::read_factors(chunk, blocks, factors);
  expand<Codes>(chunk + kFormat.header_bytes(blocks), blocks, codes);
  if constexpr (kInPairs) write_pair_factors<Form>(codes, blocks, factors);
}

template <typename Form, const InterleavedFormat& kFormat, int... kIndices>
constexpr ManyRowsInt8Kernels many_in_pairs(std::integer_sequence<int, kIndices...>) {
  ManyRowsInt8Kernels many{&kFormat,
                           read_chunk<Form, FourBits, kFormat, true>,
                           move_codes<Form>,
                           kLeastManyColumns,
                           PairsOf<Form>::kMost,
                           {}};
  ((many.tile[kLeastManyColumns - 1 + kIndices] = paired_tile<Form, kLeastManyColumns + kIndices>), ...);
  return many;
}

template <typename Form, typename Codes, const InterleavedFormat& kFormat, int... kIndices>
constexpr ManyRowsInt8Kernels many_plain(std::integer_sequence<int, kIndices...>) {
  ManyRowsInt8Kernels many{&kFormat,          read_chunk<Form, Codes, kFormat, false>,          {},
                           kLeastManyColumns, kLeastManyColumns - 1 + int{sizeof...(kIndices)}, {}};
  ((many.tile[kLeastManyColumns - 1 + kIndices] =
        tile<Form, ExpandedCodes, kFormat, 1, kLeastManyColumns + kIndices>),
   ...);
  return many;
}

template <int kMost>
using ManyWidths = std::make_integer_sequence<int, kMost - kLeastManyColumns + 1>;

template <typename Form, const InterleavedFormat& kFormat>
constexpr ManyRowsInt8Kernels many_in_pairs() {
  return many_in_pairs<Form, kFormat>(ManyWidths<PairsOf<Form>::kMost>());
}
template <typename Form, typename Codes, const InterleavedFormat& kFormat, int kMost>
constexpr ManyRowsInt8Kernels many_plain() {
  return many_plain<Form, Codes, kFormat>(ManyWidths<kMost>());
}

}  // namespace
}  // namespace martlet::ops::cpu
