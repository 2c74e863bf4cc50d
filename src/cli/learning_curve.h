#pragma once

#include <string>
#include <vector>

#include "base/chart/page.h"

namespace martlet::cli {

/// The losses of a run by its steps, from its metrics (JSON lines): of each step, smoothed, and
/// on held-out data where that was asked for. Throws BadInput for rows that are no metrics.
chart::Chart learning_curve(const std::string& metrics_file, const std::string& title);

/// Writes FOLDER/curve.svg, and FOLDER/curve.html with the tables below the curve.
void write_learning_curve(const chart::Chart& curve, const std::string& summary,
                          std::vector<chart::Table> tables, const std::string& folder);

}  // namespace martlet::cli
