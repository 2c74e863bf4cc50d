#include "base/chart/ticks.h"

#include <cmath>
#include <gmock/gmock.h>

#include "base/random.h"

namespace martlet::chart {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> labels(const std::vector<Tick>& ticks) {
  std::vector<std::string> found;
  for (const Tick& tick : ticks) found.push_back(tick.label);
  return found;
}

/// 1, 2 or 5 times a power of ten.
bool is_round(double step) {
  const double digits = step / std::pow(10, std::floor(std::log10(step) + 1e-9));
  for (const double good : {1.0, 2.0, 5.0})
    if (std::abs(digits - good) < 1e-6) return true;
  return false;
}

TEST(Ticks, AreRoundInOrderWithinTheRangeAndNotTooMany) {
  const Philox random(3);
  for (uint64_t draw = 0; draw < 2000; ++draw) {
    const double middle =
        random.normal(2 * draw) * std::pow(10, static_cast<double>(random.below(7 * draw, 9)) - 4);
    const double size = std::pow(10, random.uniform(2 * draw + 1) * 12 - 6);
    const Range range{middle - size, middle + size};
    const std::vector<Tick> found = ticks({"", Unit::kNumber, Scale::kLinear}, range, 8);
    ASSERT_GE(found.size(), 3u) << range.low << " to " << range.high;
    ASSERT_LE(found.size(), 9u);
    const double step = found[1].value - found[0].value;
    EXPECT_TRUE(size / std::abs(middle) < 1e-6 || is_round(step)) << step;
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_GE(found[i].value, range.low - 1e-5 * step);
      EXPECT_LE(found[i].value, range.high + 1e-5 * step);
      if (i > 0) {
        EXPECT_NE(found[i].label, found[i - 1].label) << range.low << " to " << range.high;
      }
    }
  }
}

TEST(Ticks, AreWrittenAsPeopleReadThem) {
  EXPECT_THAT(labels(ticks({}, {0, 1}, 5)), ElementsAre("0", "0.2", "0.4", "0.6", "0.8", "1.0"));
  EXPECT_THAT(labels(ticks({"", Unit::kCount}, {0, 20000}, 4)), ElementsAre("0", "5k", "10k", "15k", "20k"));
  EXPECT_THAT(labels(ticks({"", Unit::kCount}, {0, 3}, 10)), ElementsAre("0", "1", "2", "3"));
  EXPECT_THAT(labels(ticks({"", Unit::kSeconds}, {0, 200}, 4)), ElementsAre("0", "1 min", "2 min", "3 min"));
  EXPECT_THAT(labels(ticks({"", Unit::kSeconds}, {0, 4 * 86400}, 4)),
              ElementsAre("0", "1 d", "2 d", "3 d", "4 d"));
  EXPECT_THAT(labels(ticks({"", Unit::kBytes}, {0, 3 * 1024.0 * 1024}, 3)),
              ElementsAre("0", "1 MiB", "2 MiB", "3 MiB"));
}

TEST(Ticks, OfALogarithmicAxisArePowersOfTenOrTheirParts) {
  const Axis axis{"", Unit::kNumber, Scale::kLogarithmic};
  EXPECT_THAT(labels(ticks(axis, {1e-4, 1}, 8)), ElementsAre("0.0001", "0.001", "0.01", "0.1", "1"));
  EXPECT_THAT(labels(ticks(axis, {1, 12}, 8)), ElementsAre("1", "2", "5", "10"));
  EXPECT_THAT(labels(ticks(axis, {2.1, 2.9}, 4)), ElementsAre("2.2", "2.4", "2.6", "2.8"));
  EXPECT_LE(ticks(axis, {1e-30, 1e30}, 6).size(), 7u);
}

TEST(Ticks, OfNoRangeAreNone) {
  EXPECT_TRUE(ticks({}, {1, 1}, 5).empty());
  EXPECT_TRUE(ticks({}, {std::nan(""), 1}, 5).empty());
}

}  // namespace
}  // namespace martlet::chart
