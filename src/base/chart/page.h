#pragma once

#include <string>
#include <vector>

#include "base/chart/svg.h"

namespace martlet::chart {

struct Table {
  std::string heading;
  std::vector<std::string> columns;  ///< headings; none: the first cell of each row names the others
  std::vector<std::vector<std::string>> rows;
};

struct Page {
  std::string title;
  std::string summary;  ///< a line below it
  std::vector<Chart> charts;
  std::vector<Table> tables;
};

/// One HTML document that needs nothing else: the charts as SVG with the values under the pointer (or under
/// the arrow keys) written below each, then the tables. Light or dark as the reader prefers. Every text is
/// escaped.
std::string html(const Page& page);

}  // namespace martlet::chart
