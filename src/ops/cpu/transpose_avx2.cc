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

}  // namespace

void transpose_square_avx2(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride) {
  for (int64_t column = 0; column < 16; column += 8)
    for (int64_t row = 0; row < 16; row += 8)
      eight_words(from + row * from_stride + column * 4, from_stride, to + column * to_stride + row * 4,
                  to_stride);
}

}  // namespace martlet::ops::cpu
