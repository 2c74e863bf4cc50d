// Which product follows which.
#include "ops/cpu/linear_order.h"

#include <gtest/gtest.h>

namespace martlet::ops::cpu {
namespace {

/// A product that one worker begins at its address: where the one after it began, or null.
const std::byte* begin_at(const std::byte* product) {
  const std::byte* next = nullptr;
  begin_product(
      product, 1,
      [&](int64_t) {
        FirstReads reads;
        reads[0] = {product, 64};
        return reads;
      },
      [&](int64_t range, const FirstReads& reads) {
        EXPECT_EQ(range, 1);
        next = reads[0].begin;
      });
  return next;
}

TEST(ProductOrder, WhatFollowedAProductIsKnownTheNextTime) {
  alignas(64) const std::byte weights[3][64] = {};
  const auto begin = [&](int product) { return begin_at(weights[product]); };
  for (const int product : {0, 1, 2}) begin(product);
  for (const int product : {0, 1, 2, 0}) EXPECT_EQ(begin(product), weights[(product + 1) % 3]) << product;
  begin(2);  // another order
  begin(0);
  EXPECT_EQ(begin(2), weights[0]);
}

TEST(ProductOrder, ManyProductsForgetEachOtherAndNothingElse) {
  const std::vector<std::byte> weights(64 * 10000);
  for (int turn = 0; turn < 2; ++turn)
    for (size_t i = 0; i < 10000; ++i) {
      const std::byte* product = weights.data() + 64 * i;
      const std::byte* next = begin_at(product);
      if (next == nullptr) continue;
      EXPECT_EQ(next, i + 1 < 10000 ? product + 64 : weights.data());
    }
}

}  // namespace
}  // namespace martlet::ops::cpu
