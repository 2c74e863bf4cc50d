#pragma once

// What every drawing of a chart needs of its points: their range, their place in it, fewer of them, and
// smooth ones.

#include <optional>
#include <vector>

#include "base/chart/ticks.h"

namespace martlet::chart {

/// The part of an axis that holds every value of the chart that can be drawn. `along_x` is the x axis, which
/// fits tightly; y has some room. A chart without such values has a range too.
Range range_of(const Chart& chart, bool along_x);

/// Where a value stands in the range: 0 at its low end, 1 at its high end. Nothing when it cannot be drawn.
std::optional<double> place_of(const Axis& axis, Range range, double value);

/// The points that a drawing `columns` wide needs: of each column the first, the last, the lowest and the
/// highest, which give the same line as all of them (Jugel et al., "M4: A visualization-oriented time series
/// data aggregation", VLDB 2014). A gap in the line stays one. At most 5 * columns points.
std::vector<Point> reduced(const std::vector<Point>& points, const Axis& x, Range range, int columns);

/// The exponential moving average over points, of weight 1 / window for the newest; the window grows from one
/// point to its size over the first twenty windows. Values that are not finite are left out of it, and stay.
std::vector<Point> smoothed(const std::vector<Point>& points, double window);

/// A window that smooths a whole run without hiding its course: a fiftieth of its points.
double usual_window(size_t points);

}  // namespace martlet::chart
