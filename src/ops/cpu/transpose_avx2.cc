// Squares of eight by eight elements in registers.

#include <immintrin.h>

#include "ops/cpu/transpose.h"
#include "ops/cpu/unrolled.h"

namespace martlet::ops::cpu {
namespace {

void eight_words(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride) {
  __m256 rows[8];
  unrolled<8>([&](auto i) {
    rows[i.value] = _mm256_loadu_ps(reinterpret_cast<const float*>(from + i.value * from_stride));
  });
  __m256 pairs[8];
  unrolled<4>([&](auto i) {
    constexpr int k = 2 * i.value;
    pairs[k] = _mm256_unpacklo_ps(rows[k], rows[k + 1]);
    pairs[k + 1] = _mm256_unpackhi_ps(rows[k], rows[k + 1]);
  });
  __m256 fours[8];  // four rows of columns i and i + 4
  unrolled<2>([&](auto half) {
    constexpr int k = 4 * half.value;
    fours[k] = _mm256_shuffle_ps(pairs[k], pairs[k + 2], 0x44);
    fours[k + 1] = _mm256_shuffle_ps(pairs[k], pairs[k + 2], 0xee);
    fours[k + 2] = _mm256_shuffle_ps(pairs[k + 1], pairs[k + 3], 0x44);
    fours[k + 3] = _mm256_shuffle_ps(pairs[k + 1], pairs[k + 3], 0xee);
  });
  unrolled<4>([&](auto i) {
    constexpr int k = i.value;
    _mm256_storeu_ps(reinterpret_cast<float*>(to + k * to_stride),
                     _mm256_permute2f128_ps(fours[k], fours[k + 4], 0x20));
    _mm256_storeu_ps(reinterpret_cast<float*>(to + (k + 4) * to_stride),
                     _mm256_permute2f128_ps(fours[k], fours[k + 4], 0x31));
  });
}

/// Eight columns of sixteen rows: rows i and i + 8 share a register, so that whole registers are stored.
void sixteen_by_eight_halves(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride) {
  __m256i rows[8];
  unrolled<8>([&](auto i) {
    const auto* low = reinterpret_cast<const __m128i*>(from + i.value * from_stride);
    const auto* high = reinterpret_cast<const __m128i*>(from + (i.value + 8) * from_stride);
    rows[i.value] =
        _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(low)), _mm_loadu_si128(high), 1);
  });
  __m256i pairs[8];  // two rows of columns 0-3, of 4-7
  unrolled<4>([&](auto i) {
    constexpr int k = 2 * i.value;
    pairs[k] = _mm256_unpacklo_epi16(rows[k], rows[k + 1]);
    pairs[k + 1] = _mm256_unpackhi_epi16(rows[k], rows[k + 1]);
  });
  __m256i fours[8];  // four rows of columns 0-1, 2-3, 4-5, 6-7
  unrolled<2>([&](auto half) {
    constexpr int k = 4 * half.value;
    fours[k] = _mm256_unpacklo_epi32(pairs[k], pairs[k + 2]);
    fours[k + 1] = _mm256_unpackhi_epi32(pairs[k], pairs[k + 2]);
    fours[k + 2] = _mm256_unpacklo_epi32(pairs[k + 1], pairs[k + 3]);
    fours[k + 3] = _mm256_unpackhi_epi32(pairs[k + 1], pairs[k + 3]);
  });
  unrolled<4>([&](auto i) {
    constexpr int k = i.value;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 2 * k * to_stride),
                        _mm256_unpacklo_epi64(fours[k], fours[k + 4]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + (2 * k + 1) * to_stride),
                        _mm256_unpackhi_epi64(fours[k], fours[k + 4]));
  });
}

void square_of_words(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride) {
  for (int64_t column = 0; column < 16; column += 8)
    for (int64_t row = 0; row < 16; row += 8)
      eight_words(from + row * from_stride + column * 4, from_stride, to + column * to_stride + row * 4,
                  to_stride);
}

void square_of_halves(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride) {
  for (int64_t column = 0; column < 32; column += 8)
    for (int64_t row = 0; row < 32; row += 16)
      sixteen_by_eight_halves(from + row * from_stride + column * 2, from_stride,
                              to + column * to_stride + row * 2, to_stride);
}

}  // namespace

const TransposeKernels& transpose_kernels_avx2() {
  static constexpr TransposeKernels kKernels = {square_of_words, square_of_halves};
  return kKernels;
}

}  // namespace martlet::ops::cpu
