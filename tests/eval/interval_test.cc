#include "eval/interval.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace martlet::eval {
namespace {

TEST(WilsonInterval, GivesThePublishedTable) {
  // Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
  struct Row {
    int64_t right, total;
    double low, high;
  };
  for (const Row& row : {Row{81, 263, 0.2553, 0.3662}, Row{15, 148, 0.0624, 0.1605}, Row{0, 20, 0.0, 0.1611},
                         Row{1, 29, 0.0061, 0.1718}}) {
    const Interval interval = wilson_interval(row.right, row.total);
    EXPECT_NEAR(interval.low, row.low, 5e-5) << row.right << " of " << row.total;
    EXPECT_NEAR(interval.high, row.high, 5e-5) << row.right << " of " << row.total;
  }
}

TEST(WilsonInterval, EndsWhereTheShareIsJustSoManyDeviationsAway) {
  // Its definition: a true share p is inside when |right / total - p| <= z sqrt(p (1 - p) / total).
  for (const double z : {1.0, 1.959963984540054, 3.0})
    for (const int64_t total : {1, 7, 200, 12345})
      for (int64_t right = 0; right <= total; right += std::max<int64_t>(1, total / 5)) {
        const Interval interval = wilson_interval(right, total, z);
        const double share = static_cast<double>(right) / static_cast<double>(total);
        for (const double end : {interval.low, interval.high}) {
          EXPECT_NEAR((share - end) * (share - end), z * z * end * (1 - end) / static_cast<double>(total),
                      1e-12);
        }
        EXPECT_LE(interval.low, share);
        EXPECT_GE(interval.high, share);
      }
}

TEST(WilsonInterval, OfNothingIsEverything) {
  EXPECT_EQ(wilson_interval(0, 0).low, 0);
  EXPECT_EQ(wilson_interval(0, 0).high, 1);
}

}  // namespace
}  // namespace martlet::eval
