#include "ops/cpu/byte_rows_templates.h"

namespace martlet::ops::cpu {
namespace {

struct PlainBytes {
  using Sums = int32_t;
  static constexpr int64_t kWidth = 1;
  static int16_t load(const int8_t* from) { return *from; }
  static Sums add_products(Sums sums, int16_t a, int16_t b) { return sums + a * b; }
  static int32_t total(Sums sums) { return sums; }
};

}  // namespace

void byte_product_portable(const int8_t* rows, int64_t count, const int8_t* x, int64_t tokens,
                           int64_t columns, int32_t* sums) {
  byte_product_of<PlainBytes>(rows, count, x, tokens, columns, sums);
}

}  // namespace martlet::ops::cpu
