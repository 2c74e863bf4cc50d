#pragma once

// The int8 kernels of one instruction set for every interleaved format: include one `int8_lanes_*.h` before.

#include <utility>

#include "ops/cpu/linear_int8_quantise.h"
#include "ops/cpu/linear_int8_rows.h"
#include "ops/cpu/linear_int8_tiles.h"

namespace martlet::ops::cpu {
namespace {

template <typename Form, typename Codes, const InterleavedFormat& kFormat, int kCodes, int... kIndices>
constexpr Int8Loops int8_loops(std::integer_sequence<int, kIndices...>) {
  return {sizeof...(kIndices),
          row<Form, Codes, kFormat, kCodes>,
          {tile<Form, Codes, kFormat, kCodes, kIndices + 1>...}};
}

/// kMost: columns of a tile, codes counted.
template <typename Form, typename Codes, const InterleavedFormat& kFormat, int kMost>
constexpr Int8Kernels int8_kernels_of() {
  return {&kFormat,
          Form::read_factors,
          {int8_loops<Form, Codes, kFormat, 1>(std::make_integer_sequence<int, kMost>()),
           int8_loops<Form, Codes, kFormat, 2>(std::make_integer_sequence<int, kMost / 2>())}};
}

using Signed = ScalesForm<false, false>;
using Wide = ScalesForm<false, true>;
using Minima = ScalesForm<true, false>;
using Zeros = ScalesAndZerosForm;

constexpr Int8Kernels kInt8Formats[] = {
    int8_kernels_of<Signed, FourBits, packed::kQ4_0By16, kMostColumns>(),
    int8_kernels_of<Minima, FourBits, packed::kQ4_1By16, kMostColumns>(),
    int8_kernels_of<Signed, FiveBits, packed::kQ5_0By16, kMostColumns>(),
    int8_kernels_of<Minima, FiveBits, packed::kQ5_1By16, kMostColumns>(),
    int8_kernels_of<Wide, EightBits, packed::kQ8_0By16, kMostColumns>(),
    int8_kernels_of<Wide, FourBitLevels, packed::kIq4NlBy16, kMostColumns>(),
    int8_kernels_of<Zeros, FourBits, packed::kInt4ZeroBy16, kMostColumns>(),
    int8_kernels_of<SubScalesAndMinimaForm, FourBits, packed::kQ4KBy16, kMostSubScaleColumns>(),
    int8_kernels_of<SubScalesAndMinimaForm, FiveBits, packed::kQ5KBy16, kMostSubScaleColumns>(),
    int8_kernels_of<SubScalesForm, SixBits, packed::kQ6KBy16, kMostSubScaleColumns>(),
};

constexpr Int8KernelSet kInt8Set{kInt8Name, quantise, kInt8Formats};

}  // namespace
}  // namespace martlet::ops::cpu
