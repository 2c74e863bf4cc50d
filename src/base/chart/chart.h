#pragma once

// A chart of lines as plain data. What draws it stands beside: `svg.h` as a picture, `page.h` as a page with
// a read-out under the pointer, `terminal.h` as text. None of them prints or writes a file.

#include <cstdint>
#include <string>
#include <vector>

namespace martlet::chart {

struct Point {
  double x = 0;
  double y = 0;  ///< one that is not finite breaks the line
};

enum class Look : uint8_t {
  kLine,   ///< the line that matters
  kFaint,  ///< thin and pale, behind: the values that a line beside it smooths; not in the legend
  kMarks,  ///< a dot at every point, joined: few points that stand for much
};

struct Series {
  std::string name;           ///< of the legend
  std::vector<Point> points;  ///< x never falls
  Look look = Look::kLine;
  int colour = -1;  ///< a place in the palette, taken round; -1: the series' own place in the chart
};

enum class Scale : uint8_t { kLinear, kLogarithmic };

/// How numbers at an axis are written.
enum class Unit : uint8_t {
  kNumber,   ///< 0.25, 3.5, 20k
  kCount,    ///< whole: no ticks between
  kSeconds,  ///< 30 s, 5 min, 2 h
  kBytes,    ///< 512 MiB
};

struct Axis {
  std::string label;
  Unit unit = Unit::kNumber;
  Scale scale = Scale::kLinear;  ///< on a logarithmic one, values at and below zero break the line
};

struct Chart {
  std::string title;
  Axis x, y;
  std::vector<Series> series;
};

}  // namespace martlet::chart
