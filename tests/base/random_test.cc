#include "base/random.h"

#include <cmath>
#include <gtest/gtest.h>
#include <set>
#include <vector>

namespace martlet {
namespace {

// The known answers that the authors publish with Random123 (kat_vectors, philox4x32 with 10 rounds).
TEST(Philox, GivesThePublishedKnownAnswers) {
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(Philox(0, 0).block(0), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox(UINT64_MAX, UINT64_MAX).block(UINT64_MAX),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // Counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0.
  EXPECT_EQ(Philox(0x299f31d0a4093822, 0x0370734413198a2e).block(0x85a308d3243f6a88),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, WordsComeFromBlocksInOrder) {
  const Philox random(5, 6);
  for (uint64_t i = 0; i < 40; ++i) EXPECT_EQ(random.bits(i), random.block(i / 4)[i % 4]);
}

TEST(Philox, SeedStreamAndIndexEachChangeTheDraw) {
  std::set<uint32_t> seen;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    for (uint64_t stream = 0; stream < 10; ++stream) {
      for (uint64_t index = 0; index < 10; ++index) seen.insert(Philox(seed, stream).bits(index));
    }
  }
  EXPECT_GE(seen.size(), 999u);
}

TEST(Philox, UniformFillsTheUnitInterval) {
  const Philox random(11, stream_of("uniform"));
  constexpr int kDraws = 100000;
  constexpr int kBins = 50;
  std::vector<int> bins(kBins);
  for (uint64_t i = 0; i < kDraws; ++i) {
    const double drawn = random.uniform(i);
    ASSERT_TRUE(drawn >= 0 && drawn < 1);
    ++bins[static_cast<size_t>(drawn * kBins)];
  }
  double chi_square = 0;
  for (const int bin : bins) chi_square += std::pow(bin - kDraws / kBins, 2) / (kDraws / kBins);
  // 49 degrees of freedom: mean 49, deviation 9.9.
  EXPECT_LT(chi_square, 49 + 5 * 9.9);
}

TEST(Philox, NormalHasTheMomentsOfTheNormal) {
  const Philox random(12, stream_of("normal"));
  constexpr int kDraws = 200000;
  double sums[5] = {};
  double neighbours = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const double drawn = random.normal(i);
    for (int power = 1; power <= 4; ++power) sums[power] += std::pow(drawn, power);
    if (i % 2 == 0) neighbours += drawn * random.normal(i + 1);
  }
  // The deviation of each mean is sqrt(var / n), var = 1, 2, 15, 96; five deviations are allowed.
  const double unit = 5 / std::sqrt(kDraws);
  EXPECT_NEAR(sums[1] / kDraws, 0, unit);
  EXPECT_NEAR(sums[2] / kDraws, 1, unit * std::sqrt(2.0));
  EXPECT_NEAR(sums[3] / kDraws, 0, unit * std::sqrt(15.0));
  EXPECT_NEAR(sums[4] / kDraws, 3, unit * std::sqrt(96.0));
  EXPECT_NEAR(neighbours / kDraws * 2, 0, unit * std::sqrt(2.0));
}

TEST(Philox, BelowIsEvenAndBounded) {
  const Philox random(13);
  std::vector<int> counts(7);
  for (uint64_t i = 0; i < 70000; ++i) ++counts[random.below(i, 7)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 5 * 93);
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(random.below(i, 1), 0u);
    EXPECT_LT(random.below(i, UINT64_MAX), UINT64_MAX);
  }
}

// Offset basis and the values that the authors of FNV publish for "a" and "foobar".
TEST(StreamOf, IsFnv1a) {
  EXPECT_EQ(stream_of(""), 0xcbf29ce484222325u);
  EXPECT_EQ(stream_of("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(stream_of("foobar"), 0x85944171f73967e8u);
}

}  // namespace
}  // namespace martlet
