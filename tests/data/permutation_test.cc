// The keyed permutation: a bijection for every count, entered anywhere, that mixes.

#include "data/permutation.h"

#include <cmath>
#include <gtest/gtest.h>
#include <vector>

namespace martlet::data {
namespace {

TEST(Permutation, TakesEveryIndexOnce) {
  for (const uint64_t count : {1u, 2u, 3u, 7u, 64u, 100u, 1000u, 65536u, 65537u}) {
    for (const uint64_t key : {0u, 1u, 99u}) {
      const Permutation permutation(count, key);
      std::vector<bool> seen(count, false);
      for (uint64_t i = 0; i < count; ++i) {
        const uint64_t value = permutation(i);
        ASSERT_LT(value, count);
        EXPECT_FALSE(seen[value]);
        seen[value] = true;
      }
    }
  }
}

TEST(Permutation, KeysGiveDifferentOrders) {
  const Permutation one(1000, 1), same(1000, 1), other(1000, 2);
  int equal = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(one(i), same(i));
    equal += one(i) == other(i) ? 1 : 0;
  }
  // A random pair of orders agrees in one place on average.
  EXPECT_LT(equal, 8);
}

TEST(Permutation, NeighboursAreTornApart) {
  // Distances of neighbours in a random order of n have mean n / 3; and the order has no trend.
  constexpr uint64_t kCount = 10000;
  for (uint64_t key = 0; key < 5; ++key) {
    const Permutation permutation(kCount, key);
    double distance = 0, trend = 0;
    for (uint64_t i = 0; i + 1 < kCount; ++i) {
      distance += std::abs(static_cast<double>(permutation(i)) - static_cast<double>(permutation(i + 1)));
      trend += (static_cast<double>(i) - kCount / 2.0) * (static_cast<double>(permutation(i)) - kCount / 2.0);
    }
    EXPECT_NEAR(distance / kCount, kCount / 3.0, kCount / 50.0);
    // The correlation of two random orders of n has standard deviation 1 / sqrt(n).
    EXPECT_LT(std::abs(trend / (std::pow(kCount, 3) / 12)), 0.05);
  }
}

TEST(Permutation, HugeCountsNeedNoMemory) {
  const uint64_t count = (uint64_t{1} << 45) + 12345;
  const Permutation permutation(count, 7);
  for (uint64_t i = 0; i < 1000; ++i) EXPECT_LT(permutation(i * 1'000'003), count);
}

}  // namespace
}  // namespace martlet::data
