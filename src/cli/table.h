#pragma once

#include <string>
#include <vector>

namespace martlet::cli {

/// Rows of cells as aligned lines, the first row set off as a heading; cells that read as numbers stand to
/// the right of their column.
std::string table_text(const std::vector<std::vector<std::string>>& rows);

}  // namespace martlet::cli
