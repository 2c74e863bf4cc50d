#include "cli/table.h"

#include <algorithm>
#include <cctype>
#include <fmt/core.h>

#include "base/display.h"
#include "cli/terminal.h"

namespace martlet::cli {
namespace {

bool reads_as_number(const std::string& cell) {
  return !cell.empty() &&
         (std::isdigit(static_cast<unsigned char>(cell.front())) != 0 || cell.front() == '-');
}

}  // namespace

std::string table_text(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], static_cast<size_t>(text_columns(row[i])));
  }
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < rows[r].size(); ++i) {
      const std::string& cell = rows[r][i];
      // A heading stands where its column's numbers do.
      const bool right = reads_as_number(r == 0 && rows.size() > 1 ? rows[1][i] : cell);
      if (i > 0) line += "  ";
      const std::string room(widths[i] - static_cast<size_t>(text_columns(cell)), ' ');
      line += right ? room + cell : cell + room;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += (r == 0 ? styled(Style::kBold, line) : line) + "\n";
  }
  return text;
}

}  // namespace martlet::cli
