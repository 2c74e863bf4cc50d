#include <immintrin.h>

#include "ops/cpu/byte_rows_templates.h"

namespace martlet::ops::cpu {
namespace {

struct Avx2Bytes {
  using Sums = __m256i;
  static constexpr int64_t kWidth = 16;
  static __m256i load(const int8_t* from) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static Sums add_products(Sums sums, __m256i a, __m256i b) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(a, b));
  }
  static int32_t total(Sums sums) {
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
  }
};

}  // namespace

void byte_product_avx2(const int8_t* rows, int64_t count, const int8_t* x, int64_t tokens, int64_t columns,
                       int32_t* sums) {
  byte_product_of<Avx2Bytes>(rows, count, x, tokens, columns, sums);
}

}  // namespace martlet::ops::cpu
