#pragma once

// The int8 kernels of one instruction set for every interleaved format: include one `int8_lanes_*.h` before.

#include <utility>

#include "ops/cpu/linear_int8_quantise.h"
#include "ops/cpu/linear_int8_rows.h"
#include "ops/cpu/linear_int8_tiles.h"

namespace martlet::ops::cpu {
namespace {

template <typename Form, typename Codes, typename Lines, const InterleavedFormat& kFormat, int kCodes,
          int... kIndices>
constexpr Int8Loops int8_loops(std::integer_sequence<int, kIndices...>) {
  return {sizeof...(kIndices),
          row<Form, Codes, Lines, kFormat, kCodes>,
          {tile<Form, Codes, kFormat, kCodes, kIndices + 1>...}};
}

/// kMost: columns of a tile, codes counted.
template <typename Form, typename Codes, typename Lines, const InterleavedFormat& kFormat, int kMost>
constexpr Int8Kernels int8_kernels_of() {
  return {&kFormat,
          Form::read_factors,
          {int8_loops<Form, Codes, Lines, kFormat, 1>(std::make_integer_sequence<int, kMost>()),
           int8_loops<Form, Codes, Lines, kFormat, 2>(std::make_integer_sequence<int, kMost / 2>())}};
}

using Signed = ScalesForm<false, false>;
using Wide = ScalesForm<false, true>;
using Minima = ScalesForm<true, false>;
using Zeros = ScalesAndZerosForm;

template <typename Lines>
constexpr Int8Kernels kInt8Formats[] = {
    int8_kernels_of<Signed, FourBits, Lines, packed::kQ4_0By16, kMostColumns>(),
    int8_kernels_of<Minima, FourBits, Lines, packed::kQ4_1By16, kMostColumns>(),
    int8_kernels_of<Signed, FiveBits, Lines, packed::kQ5_0By16, kMostColumns>(),
    int8_kernels_of<Minima, FiveBits, Lines, packed::kQ5_1By16, kMostColumns>(),
    int8_kernels_of<Wide, EightBits, Lines, packed::kQ8_0By16, kMostColumns>(),
    int8_kernels_of<Wide, FourBitLevels, Lines, packed::kIq4NlBy16, kMostColumns>(),
    int8_kernels_of<Zeros, FourBits, Lines, packed::kInt4ZeroBy16, kMostColumns>(),
    int8_kernels_of<SubScalesAndMinimaForm, FourBits, Lines, packed::kQ4KBy16, kMostSubScaleColumns>(),
    int8_kernels_of<SubScalesAndMinimaForm, FiveBits, Lines, packed::kQ5KBy16, kMostSubScaleColumns>(),
    int8_kernels_of<SubScalesForm, SixBits, Lines, packed::kQ6KBy16, kMostSubScaleColumns>(),
};

constexpr Int8KernelSet kInt8Set{kInt8Name, quantise, kInt8Formats<OneLine>};

}  // namespace
}  // namespace martlet::ops::cpu
