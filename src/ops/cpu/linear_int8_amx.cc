#include "ops/cpu/int8_lanes_avx512vnni.h"
// The templates are written over the lanes above.
#include "ops/cpu/linear_int8_amx.h"
#include "ops/cpu/linear_int8_many.h"

namespace martlet::ops::cpu {
namespace {

constexpr ManyRowsInt8Kernels kAmxFormats[] = {
    amx_loops<ScalesForm<false, false>, FourBits, packed::kQ4_0By16, 8>(),
    amx_loops<ScalesForm<true, false>, FourBits, packed::kQ4_1By16, 0>(),
    amx_loops<ScalesForm<false, false>, FiveBits, packed::kQ5_0By16, 16>(),
    amx_loops<ScalesForm<true, false>, FiveBits, packed::kQ5_1By16, 0>(),
    amx_loops<ScalesForm<false, true>, EightBits, packed::kQ8_0By16, 128>(),
    amx_loops<ScalesForm<false, true>, FourBitLevels, packed::kIq4NlBy16, 128>(),
    amx_loops<ScalesAndZerosForm, FourBits, packed::kInt4ZeroBy16, 0>(),
    amx_loops<SubScalesAndMinimaForm, FourBits, packed::kQ4KBy16, 0>(),
    amx_loops<SubScalesAndMinimaForm, FiveBits, packed::kQ5KBy16, 0>(),
    // Of sixteen columns a product costs what it does of thirty-two.
    many_plain<SubScalesForm, SixBits, packed::kQ6KBy16, kMostSubScaleColumns>(),
};

}  // namespace

const Int8KernelSet& int8_kernels_amx() {
  static const Int8KernelSet amx = [] {
    Int8KernelSet set = int8_kernels_avx512vnni();
    set.name = "AMX INT8";
    set.many = kAmxFormats;
    set.begin_many = [] { begin_tiles(kTileShapes); };
    set.end_many = end_tiles;
    return set;
  }();
  return amx;
}

}  // namespace martlet::ops::cpu
