// bf16 x times bf16 weights where the processor multiplies pairs of bf16 and adds them to f32 lanes. Lane l
// takes k = 2 l and 2 l + 1 of each 32. The instruction takes subnormal inputs as zero, gives no subnormal
// results, and rounds each of its two additions to nearest even.

#include "ops/cpu/lanes_avx512bf16.h"
// The templates are written over the lanes above.
#include "ops/cpu/linear_templates.h"

namespace martlet::ops::cpu {
namespace {

struct PairsBF16 {
  using Element = BF16;
  static constexpr int64_t kVector = 32;
  static constexpr int64_t kElements = 32;
  static constexpr int64_t kBytes = 64;
  static constexpr bool kPartial = true;
  static Pairs part(const std::byte* from, int64_t count) { return load_first_pairs(from, count); }
  template <typename Take>
  [[gnu::always_inline]] static void each(const std::byte* from, Take take) {
    take(0, load(reinterpret_cast<const BF16*>(from)));
  }
};

constexpr TypedLinearKernels kTypedKernels[] = {{"bf16", kernels_of<PairsBF16>("AVX-512 BF16")}};

}  // namespace

std::span<const TypedLinearKernels> linear_kernels_avx512bf16() {
  return kTypedKernels;
}

}  // namespace martlet::ops::cpu
