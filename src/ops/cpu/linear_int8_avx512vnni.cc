#include "ops/cpu/int8_lanes_avx512vnni.h"
// The templates are written over the lanes above.
#include "ops/cpu/linear_int8_many.h"
#include "ops/cpu/linear_int8_table.h"

namespace martlet::ops::cpu {
namespace {

// Where additions have pipes of their own.
constexpr ManyRowsInt8Kernels kManyRowsInt8FormatsInPairs[] = {
    many_in_pairs<ScalesForm<false, false>, packed::kQ4_0By16>(),
    many_in_pairs<ScalesForm<true, false>, packed::kQ4_1By16>(),
    many_in_pairs<ScalesAndZerosForm, packed::kInt4ZeroBy16>(),
    many_in_pairs<SubScalesAndMinimaForm, packed::kQ4KBy16>(),
    many_plain<SubScalesAndMinimaForm, FiveBits, packed::kQ5KBy16, kMostSubScaleColumns>(),
    many_plain<SubScalesForm, SixBits, packed::kQ6KBy16, kMostSubScaleColumns>(),
};

// Where they take those of products, and so do shifts and masks.
constexpr ManyRowsInt8Kernels kManyRowsInt8Formats[] = {
    many_plain<ScalesForm<false, false>, FourBits, packed::kQ4_0By16, kMostColumns>(),
    many_plain<ScalesForm<true, false>, FourBits, packed::kQ4_1By16, kMostColumns>(),
    many_plain<ScalesForm<false, false>, FiveBits, packed::kQ5_0By16, kMostColumns>(),
    many_plain<ScalesForm<true, false>, FiveBits, packed::kQ5_1By16, kMostColumns>(),
    many_plain<ScalesForm<false, true>, FourBitLevels, packed::kIq4NlBy16, kMostColumns>(),
    many_plain<ScalesAndZerosForm, FourBits, packed::kInt4ZeroBy16, kMostColumns>(),
    many_plain<SubScalesAndMinimaForm, FourBits, packed::kQ4KBy16, kMostColumns>(),
    many_plain<SubScalesAndMinimaForm, FiveBits, packed::kQ5KBy16, kMostColumns>(),
    many_plain<SubScalesForm, SixBits, packed::kQ6KBy16, kMostSubScaleColumns>(),
};

}  // namespace

const Int8KernelSet& int8_kernels_avx512vnni() {
  static constexpr Int8KernelSet kSet{kInt8Name, quantise, kInt8Formats<EveryLine>, kManyRowsInt8Formats};
  return kSet;
}

const Int8KernelSet& int8_kernels_avx512vnni_in_pairs() {
  static constexpr Int8KernelSet kSet{kInt8Name, quantise, kInt8Formats<OneLine>,
                                      kManyRowsInt8FormatsInPairs};
  return kSet;
}

}  // namespace martlet::ops::cpu
