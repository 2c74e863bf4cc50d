#pragma once

// Runs as charts.

#include <span>
#include <string>
#include <vector>

#include "base/chart/chart.h"
#include "train/run_log.h"

namespace martlet::train {

enum class CurveX : uint8_t { kStep, kTokens, kTime };

struct CurveOptions {
  CurveX x = CurveX::kStep;
  double smooth = 0;         ///< steps that the smoothed loss looks back over; 0: a fiftieth of the run
  bool logarithmic = false;  ///< the loss
};

/// A run's rows and what the legend calls it.
struct RunCurve {
  std::string name;
  std::vector<StepRow> rows;
};

/// The loss over the run. One run: each step's, smoothed, and on held-out data. Several: the smoothed ones
/// over each other.
chart::Chart loss_chart(std::string title, std::span<const RunCurve> runs, const CurveOptions& options);

/// Every chart that the rows give: loss, held-out loss (of several runs), learning rate, the gradient's norm,
/// speed, memory.
std::vector<chart::Chart> run_charts(std::string title, std::span<const RunCurve> runs,
                                     const CurveOptions& options);

}  // namespace martlet::train
