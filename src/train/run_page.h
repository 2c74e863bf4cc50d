#pragma once

// What the log says of runs, as tables and pages for people.

#include <span>

#include "base/chart/page.h"
#include "train/run_curves.h"
#include "train/run_records.h"

namespace martlet::train {

/// "Run 7: stories".
std::string run_title(const LoggedRun& run);
/// "done: 500 of 500 steps, 1.0M tokens in 3 min 20 s".
std::string run_summary(const LoggedRun& run);

/// Every option of the run that is not empty.
chart::Table recipe_table(const LoggedRun& run);
/// Where and when it ran: folder, start, parameters, code, machine.
chart::Table origin_table(const LoggedRun& run);

/// What came of each run, a column each.
chart::Table results_table(std::span<const LoggedRun> runs);
/// Options, code and machine in which the runs differ, a column a run; no rows where they are all the same.
chart::Table differences_table(std::span<const LoggedRun> runs);

/// Curves and tables of one run, whose rows are `rows`.
chart::Page run_page(const LoggedRun& run, std::vector<StepRow> rows, const CurveOptions& options);
/// Curves of several over each other, and what sets them apart. `curves` are theirs, in the same order.
chart::Page comparison_page(std::span<const LoggedRun> runs, std::span<const RunCurve> curves,
                            const CurveOptions& options);

}  // namespace martlet::train
