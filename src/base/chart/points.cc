#include "base/chart/points.h"

#include <algorithm>
#include <cmath>

namespace martlet::chart {
namespace {

// Above and below the lines, as a share of their range.
constexpr double kRoom = 0.04;
// Points of window that the average gains with each point it has seen, until it has them all. A loss falls
// fastest at first: a whole window would trail far behind it there.
constexpr double kGrowth = 0.05;
// Points a column of which are kept: first, lowest, highest, last.
struct Column {
  Point first, low, high, last;
};

bool drawable(Scale scale, double value) {
  return std::isfinite(value) && (scale == Scale::kLinear || value > 0);
}

void append(std::vector<Point>& out, const Column& column) {
  Point middle[2] = {column.low, column.high};
  if (middle[0].x > middle[1].x) std::swap(middle[0], middle[1]);
  for (const Point& point : {column.first, middle[0], middle[1], column.last})
    if (out.empty() || !(out.back().x == point.x && out.back().y == point.y)) out.push_back(point);
}

/// Apart when they are one, so that a single value still has an axis around it.
Range widened(Scale scale, double low, double high) {
  if (low < high) return {low, high};
  if (scale == Scale::kLogarithmic) return {low / 2, low * 2};
  const double room = low == 0 ? 1 : std::abs(low) * 0.1;
  return {low - room, low + room};
}

}  // namespace

Range range_of(const Chart& chart, bool along_x) {
  const Axis& axis = along_x ? chart.x : chart.y;
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (const Series& series : chart.series)
    for (const Point& point : series.points) {
      if (!drawable(chart.x.scale, point.x) || !drawable(chart.y.scale, point.y)) continue;
      low = std::min(low, along_x ? point.x : point.y);
      high = std::max(high, along_x ? point.x : point.y);
    }
  if (low > high) return axis.scale == Scale::kLogarithmic ? Range{1, 10} : Range{0, 1};
  if (along_x || low == high) return widened(axis.scale, low, high);
  if (axis.scale == Scale::kLogarithmic) {
    const double room = std::pow(high / low, kRoom);
    return {low / room, high * room};
  }
  const double room = (high - low) * kRoom;
  // What is never negative has no axis below zero.
  return {low >= 0 ? std::max(0.0, low - room) : low - room, high + room};
}

std::optional<double> place_of(const Axis& axis, Range range, double value) {
  if (!drawable(axis.scale, value)) return std::nullopt;
  if (axis.scale == Scale::kLogarithmic)
    return std::log(value / range.low) / std::log(range.high / range.low);
  return (value - range.low) / (range.high - range.low);
}

std::vector<Point> reduced(const std::vector<Point>& points, const Axis& x, Range range, int columns) {
  if (points.size() <= static_cast<size_t>(columns) * 4) return points;
  std::vector<Point> kept;
  std::optional<Column> column;
  int at = -1;
  const auto close = [&] {
    if (column) append(kept, *column);
    column.reset();
  };
  for (const Point& point : points) {
    const std::optional<double> place = place_of(x, range, point.x);
    if (!place) continue;
    const int now = std::min(columns - 1, static_cast<int>(*place * columns));
    if (!std::isfinite(point.y)) {
      // One gap a column is enough: a line that comes and goes within a column is seen by its other points.
      if (now != at || column) {
        close();
        if (kept.empty() || std::isfinite(kept.back().y)) kept.push_back(point);
      }
      at = now;
      continue;
    }
    if (now != at) close();
    at = now;
    if (!column) {
      column = Column{point, point, point, point};
      continue;
    }
    if (point.y < column->low.y) column->low = point;
    if (point.y > column->high.y) column->high = point;
    column->last = point;
  }
  close();
  return kept;
}

std::vector<Point> smoothed(const std::vector<Point>& points, double window) {
  std::vector<Point> smooth = points;
  double mean = 0, seen = 0;
  for (Point& point : smooth) {
    if (!std::isfinite(point.y)) continue;
    mean += (point.y - mean) / std::max(1.0, std::min(window, 1 + kGrowth * seen));
    ++seen;
    point.y = mean;
  }
  return smooth;
}

double usual_window(size_t points) {
  return std::max(1.0, static_cast<double>(points) / 50);
}

}  // namespace martlet::chart
