#include <immintrin.h>

#include "ops/cpu/byte_rows_templates.h"

namespace martlet::ops::cpu {
namespace {

struct VnniBytes {
  using Sums = __m512i;
  static constexpr int64_t kWidth = 32;
  static __m512i load(const int8_t* from) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static Sums add_products(Sums sums, __m512i a, __m512i b) { return _mm512_dpwssd_epi32(sums, a, b); }
  static int32_t total(Sums sums) { return _mm512_reduce_add_epi32(sums); }
};

}  // namespace

void byte_product_avx512vnni(const int8_t* rows, int64_t count, const int8_t* x, int64_t tokens,
                             int64_t columns, int32_t* sums) {
  byte_product_of<VnniBytes>(rows, count, x, tokens, columns, sums);
}

}  // namespace martlet::ops::cpu
