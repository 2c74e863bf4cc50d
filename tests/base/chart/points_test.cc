#include "base/chart/points.h"

#include <cmath>
#include <gmock/gmock.h>

#include "base/random.h"

namespace martlet::chart {
namespace {

std::vector<Point> noise(uint64_t seed, size_t count) {
  const Philox random(seed);
  std::vector<Point> points;
  for (size_t i = 0; i < count; ++i) points.push_back({static_cast<double>(i), random.normal(i)});
  return points;
}

TEST(Reduced, KeepsTheEdgesAndEveryColumnsExtremes) {
  constexpr int kColumns = 37;
  for (const uint64_t seed : {1u, 2u, 3u}) {
    std::vector<Point> points = noise(seed, 5000);
    const Range range{0, 4999};
    const std::vector<Point> fewer = reduced(points, {}, range, kColumns);
    EXPECT_LE(fewer.size(), 5u * kColumns);
    const auto column = [&](const Point& p) {
      return std::min(kColumns - 1, static_cast<int>(p.x / 4999 * kColumns));
    };
    std::vector<double> low(kColumns, HUGE_VAL), high(kColumns, -HUGE_VAL), low_kept = low, high_kept = high;
    for (const Point& p : points) {
      low[column(p)] = std::min(low[column(p)], p.y);
      high[column(p)] = std::max(high[column(p)], p.y);
    }
    for (size_t i = 0; i < fewer.size(); ++i) {
      low_kept[column(fewer[i])] = std::min(low_kept[column(fewer[i])], fewer[i].y);
      high_kept[column(fewer[i])] = std::max(high_kept[column(fewer[i])], fewer[i].y);
      if (i > 0) {
        EXPECT_LT(fewer[i - 1].x, fewer[i].x);
      }
    }
    EXPECT_EQ(low, low_kept);
    EXPECT_EQ(high, high_kept);
    EXPECT_EQ(fewer.front().x, 0);
    EXPECT_EQ(fewer.back().x, 4999);
  }
}

TEST(Reduced, KeepsGaps) {
  std::vector<Point> points = noise(4, 5000);
  for (size_t i = 2000; i < 3000; ++i) points[i].y = std::nan("");
  size_t gaps = 0;
  for (const Point& p : reduced(points, {}, {0, 4999}, 50)) gaps += std::isnan(p.y) ? 1 : 0;
  EXPECT_EQ(gaps, 1u);
}

TEST(Reduced, IsBoundedWhenAllOrHalfIsBroken) {
  std::vector<Point> points = noise(5, 100000);
  for (size_t i = 0; i < points.size(); i += 2) points[i].y = std::nan("");
  EXPECT_LE(reduced(points, {}, {0, 99999}, 100).size(), 100000u);
  for (Point& p : points) p.y = std::nan("");
  EXPECT_LE(reduced(points, {}, {0, 99999}, 100).size(), 1u);
}

TEST(Smoothed, OfAConstantIsTheConstantFromTheFirstPointOn) {
  std::vector<Point> points(100);
  for (Point& p : points) p.y = 2.5;
  points[7].y = std::nan("");
  const std::vector<Point> smooth = smoothed(points, 20);
  for (size_t i = 0; i < smooth.size(); ++i) {
    if (i == 7)
      EXPECT_TRUE(std::isnan(smooth[i].y));
    else
      EXPECT_NEAR(smooth[i].y, 2.5, 1e-12);
  }
}

TEST(Smoothed, IsTheWeightedMeanOfWhatCameBefore) {
  const std::vector<Point> points = noise(6, 400);
  const std::vector<Point> smooth = smoothed(points, 8);
  std::vector<double> weights;
  for (size_t i = 0; i < points.size(); ++i) {
    const double window = std::min(8.0, 1 + 0.05 * static_cast<double>(i));
    for (double& weight : weights) weight *= 1 - 1 / window;
    weights.push_back(1 / window);
    double sum = 0, all = 0;
    for (size_t j = 0; j <= i; ++j) {
      sum += weights[j] * points[j].y;
      all += weights[j];
    }
    EXPECT_NEAR(all, 1, 1e-12);
    EXPECT_NEAR(smooth[i].y, sum, 1e-12);
  }
}

TEST(RangeOf, LeavesOutWhatCannotBeDrawn) {
  Chart chart;
  chart.y.scale = Scale::kLogarithmic;
  chart.series.push_back({"a", {{0, 1}, {1, std::nan("")}, {2, -5}, {3, 100}, {900, HUGE_VAL}}});
  EXPECT_EQ(range_of(chart, true).high, 3);
  EXPECT_NEAR(range_of(chart, false).low, 0.83, 0.01);
  EXPECT_NEAR(range_of(chart, false).high, 120.2, 0.1);
  EXPECT_FALSE(place_of(chart.y, {1, 10}, 0));
  EXPECT_NEAR(*place_of(chart.y, {1, 100}, 10), 0.5, 1e-12);
}

TEST(RangeOf, IsNeverEmpty) {
  for (const Scale scale : {Scale::kLinear, Scale::kLogarithmic})
    for (const std::vector<Point>& points :
         {std::vector<Point>{}, std::vector<Point>{{5, 5}}, std::vector<Point>{{0, 0}, {0, 0}}}) {
      Chart chart;
      chart.x.scale = chart.y.scale = scale;
      chart.series.push_back({"a", points});
      for (const bool along_x : {true, false}) {
        const Range range = range_of(chart, along_x);
        EXPECT_LT(range.low, range.high);
      }
    }
}

}  // namespace
}  // namespace martlet::chart
