// Pairs of bf16 whose products are added to f32 lanes. The instruction takes subnormal inputs as zero, gives
// no subnormal results, and rounds each of its two additions to nearest even.

#include "ops/cpu/lanes_avx512bf16.h"
// The templates are written over the lanes above.
#include "ops/cpu/matmul_templates.h"

namespace martlet::ops::cpu {
namespace {

/// The bits of two bf16, the first in the lower half.
struct PairWord {
  BF16 even, odd;
};

inline Pairs load_words(const PairWord* from) {
  return load(&from->even);
}
inline Pairs all_words(const PairWord* from) {
  return all_pairs(from);
}

/// By the processor's own rounding, which takes subnormal numbers as zero, as its products do.
inline void store_narrow(const PairWord*, BF16* to, Lanes sums) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(sums)));
}

/// Up to sixteen elements as bf16, rounded to nearest even; the processor's own rounding takes subnormal
/// numbers as zero, as its products do.
inline __m256i halves(const std::byte* from, DType type, Mask mask) {
  if (type == DType::kBF16) return _mm256_maskz_loadu_epi16(mask, from);
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from)));
}

inline Mask lanes_from(int64_t i, int64_t count) {
  return first(count - i < 16 ? count - i : 16);
}

void convert(const std::byte* from, DType type, int64_t count, std::byte* to) {
  const int64_t size = size_of(type);
  for (int64_t i = 0; i < count; i += 16) {
    const Mask mask = lanes_from(i, count);
    _mm256_mask_storeu_epi16(to + 2 * i, mask, halves(from + i * size, type, mask));
  }
}

/// Sixteen words or fewer: pairs of elements of two rows.
inline Codes words_of(const std::byte* even, const std::byte* odd, DType type, Mask mask, Mask odd_mask) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(halves(even, type, mask)),
                         _mm512_slli_epi32(_mm512_cvtepu16_epi32(halves(odd, type, odd_mask)), 16));
}

/// Rows of fewer words than lanes are written whole, what follows them is written after them.
template <DType kType>
void pack_rows(const MatmulRows& p, int64_t width, std::byte* to) {
  constexpr int64_t kSize = kType == DType::kBF16 ? 2 : 4;
  const std::byte* even = p.from;
  const bool overlaps = p.count < 16 && p.count == width;
  const int64_t whole = overlaps ? p.k - 2 * ((16 + width - 1) / width) : 0;
  const Mask few = lanes_from(0, p.count);
  int64_t k = 0;
  for (; k < whole; k += 2, even += 2 * p.stride, to += 4 * width)
    _mm512_storeu_si512(to, words_of(even, even + p.stride, kType, few, few));
  for (; k < p.k; k += 2, even += 2 * p.stride, to += 4 * width)
    for (int64_t i = 0; i < p.count; i += 16) {
      const Mask mask = lanes_from(i, p.count);
      const Mask odd_mask = k + 1 < p.k ? mask : Mask{0};
      const std::byte* at = even + i * kSize;
      _mm512_mask_storeu_epi32(to + 4 * i, mask, words_of(at, at + p.stride, kType, mask, odd_mask));
    }
}

void pack(const MatmulRows& p, int64_t width, std::byte* to) {
  p.type == DType::kBF16 ? pack_rows<DType::kBF16>(p, width, to) : pack_rows<DType::kF32>(p, width, to);
}

}  // namespace

const MatmulKernels& matmul_kernels_avx512bf16() {
  static constexpr MatmulKernels kKernels = {
      "AVX-512 BF16", DType::kBF16, kMatmulRows, kPanelColumns, false, matmul_panel<PairWord>, pack, convert};
  return kKernels;
}

}  // namespace martlet::ops::cpu
