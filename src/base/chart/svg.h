#pragma once

#include <string>

#include "base/chart/points.h"

namespace martlet::chart {

struct SvgOptions {
  int width = 860;  ///< in pixels of the drawing, which scales to any size
  int height = 420;
};

/// Where the lines are in the picture, and what they span: all that a script needs to find a value under the
/// pointer.
struct SvgPlot {
  double left = 0, top = 0, right = 0, bottom = 0;
  Range x, y;
};

/// The chart as one self-contained SVG document: axes with round ticks, a legend where there are several
/// series, light or dark as the viewer prefers. Every text is escaped. The size is bounded whatever the
/// number of points.
std::string svg(const Chart& chart, const SvgOptions& options = {});
SvgPlot svg_plot(const Chart& chart, const SvgOptions& options = {});

/// Text inside XML or HTML, also in a quoted attribute: `one_line` and the five characters escaped.
std::string escaped(std::string_view text);

}  // namespace martlet::chart
