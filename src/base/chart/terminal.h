#pragma once

#include <string>

#include "base/chart/points.h"

namespace martlet::chart {

struct TerminalOptions {
  int columns = 80;      ///< no line is wider; at least 24 are taken as there
  int rows = 16;         ///< of the lines' field alone
  bool unicode = true;   ///< braille dots, eight a character, and drawn axes; else plain ASCII
  bool colours = false;  ///< by ANSI codes; without them the lines end in letters that the legend explains
};

/// The chart as lines of text, each with its line end: title, field with axes and round ticks, legend. Faint
/// series are drawn only with colours, where they stand behind.
std::string terminal(const Chart& chart, const TerminalOptions& options);

}  // namespace martlet::chart
