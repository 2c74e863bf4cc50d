#pragma once

#include <string>
#include <vector>

#include "base/chart/chart.h"

namespace martlet::chart {

struct Range {
  double low = 0;
  double high = 1;
};

struct Tick {
  double value = 0;
  std::string label;
};

/// Round values within the range, in order, `most` of them or a few less: steps of 1, 2 or 5 times a power of
/// ten; of a clock's parts for seconds; powers of ten on a logarithmic axis where it spans some. At least one
/// wherever a round value lies in the range.
std::vector<Tick> ticks(const Axis& axis, Range range, int most);

/// A value alone, as the axis writes it: "1.432", "12.3k", "2 min 5 s".
std::string value_text(Unit unit, double value);

}  // namespace martlet::chart
