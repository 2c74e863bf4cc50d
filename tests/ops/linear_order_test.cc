// Which product follows which.
#include "ops/cpu/linear_order.h"

#include <gtest/gtest.h>

namespace martlet::ops::cpu {
namespace {

std::vector<FirstReads> reads_at(const std::byte* begin) {
  FirstReads reads;
  reads[0] = {begin, 64};
  return {reads};
}

TEST(ProductOrder, WhatFollowedAProductIsKnownTheNextTime) {
  alignas(64) const std::byte weights[3][64] = {};
  const auto begin = [&](int product) { return begin_product(weights[product], reads_at(weights[product])); };
  for (const int product : {0, 1, 2}) begin(product);
  for (const int product : {0, 1, 2, 0}) {
    const std::vector<FirstReads> next = begin(product);
    ASSERT_EQ(next.size(), 1u) << product;
    EXPECT_EQ(next[0][0].begin, weights[(product + 1) % 3]) << product;
  }
  begin(2);  // another order
  begin(0);
  EXPECT_EQ(begin(2)[0][0].begin, weights[0]);
}

TEST(ProductOrder, ManyProductsForgetEachOtherAndNothingElse) {
  const std::vector<std::byte> weights(64 * 10000);
  for (int turn = 0; turn < 2; ++turn)
    for (size_t i = 0; i < 10000; ++i) {
      const std::byte* product = weights.data() + 64 * i;
      for (const FirstReads& next : begin_product(product, reads_at(product)))
        EXPECT_EQ(next[0].begin, i + 1 < 10000 ? product + 64 : weights.data());
    }
}

}  // namespace
}  // namespace martlet::ops::cpu
