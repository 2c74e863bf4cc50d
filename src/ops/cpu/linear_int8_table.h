#pragma once

// The int8 kernels of one instruction set for every interleaved format: include one `int8_lanes_*.h` before.

#include "ops/cpu/linear_int8_templates.h"

namespace martlet::ops::cpu {
namespace {

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
