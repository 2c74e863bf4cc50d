#include "train/run_curves.h"

#include <cmath>

#include "base/chart/points.h"

namespace martlet::train {
namespace {

using chart::Axis;
using chart::Chart;
using chart::Look;
using chart::Point;
using chart::Series;

Axis x_axis(CurveX x) {
  switch (x) {
    case CurveX::kStep:
      return {"step", chart::Unit::kCount};
    case CurveX::kTokens:
      return {"tokens", chart::Unit::kCount};
    case CurveX::kTime:
      return {"time", chart::Unit::kSeconds};
  }
  return {};
}

double x_of(CurveX x, const StepRow& row) {
  switch (x) {
    case CurveX::kStep:
      return static_cast<double>(row.step);
    case CurveX::kTokens:
      return static_cast<double>(row.tokens);
    case CurveX::kTime:
      return row.seconds;
  }
  return 0;
}

template <typename Value>
std::vector<Point> points_of(const RunCurve& run, CurveX x, const Value& value) {
  std::vector<Point> points;
  points.reserve(run.rows.size());
  for (const StepRow& row : run.rows) points.push_back({x_of(x, row), value(row)});
  return points;
}

std::vector<Point> held_out_points(const RunCurve& run, CurveX x) {
  std::vector<Point> points;
  for (const StepRow& row : run.rows)
    if (row.eval_loss) points.push_back({x_of(x, row), *row.eval_loss});
  return points;
}

Chart empty_chart(std::string title, Axis y, CurveX x) {
  return {std::move(title), x_axis(x), std::move(y), {}};
}

/// A chart of one value a step, a line a run.
template <typename Value>
Chart chart_of(std::string title, Axis y, std::span<const RunCurve> runs, CurveX x, const Value& value) {
  Chart chart = empty_chart(std::move(title), std::move(y), x);
  for (size_t i = 0; i < runs.size(); ++i)
    chart.series.push_back({runs.size() == 1 ? "" : runs[i].name, points_of(runs[i], x, value), Look::kLine,
                            static_cast<int>(i)});
  return chart;
}

}  // namespace

Chart loss_chart(std::string title, std::span<const RunCurve> runs, const CurveOptions& options) {
  Axis y{"loss, nats a token"};
  if (options.logarithmic) y.scale = chart::Scale::kLogarithmic;
  Chart chart = empty_chart(std::move(title), y, options.x);
  const bool alone = runs.size() == 1;
  for (size_t i = 0; i < runs.size(); ++i) {
    const int colour = static_cast<int>(i);
    std::vector<Point> raw = points_of(runs[i], options.x, [](const StepRow& row) { return row.loss; });
    const double window = options.smooth > 0 ? options.smooth : chart::usual_window(raw.size());
    Series smooth{alone ? "loss, smoothed" : runs[i].name, chart::smoothed(raw, window), Look::kLine, colour};
    // Of more than two runs the pale lines would only cover each other.
    if (runs.size() <= 2) chart.series.push_back({"loss", std::move(raw), Look::kFaint, colour});
    chart.series.push_back(std::move(smooth));
  }
  if (!alone) return chart;
  if (std::vector<Point> held_out = held_out_points(runs[0], options.x); !held_out.empty())
    chart.series.push_back({"held-out loss", std::move(held_out), Look::kMarks, 1});
  return chart;
}

std::vector<Chart> run_charts(std::string title, std::span<const RunCurve> runs,
                              const CurveOptions& options) {
  std::vector<Chart> charts{loss_chart(std::move(title), runs, options)};
  if (runs.size() > 1) {
    Chart held_out = empty_chart("Held-out loss", charts[0].y, options.x);
    for (size_t i = 0; i < runs.size(); ++i)
      if (std::vector<Point> points = held_out_points(runs[i], options.x); !points.empty())
        held_out.series.push_back({runs[i].name, std::move(points), Look::kMarks, static_cast<int>(i)});
    if (!held_out.series.empty()) charts.push_back(std::move(held_out));
  }
  charts.push_back(
      chart_of("Learning rate", {}, runs, options.x, [](const StepRow& row) { return row.learning_rate; }));
  const Axis norm{"before clipping", chart::Unit::kNumber, chart::Scale::kLogarithmic};
  charts.push_back(chart_of("Norm of the gradient", norm, runs, options.x,
                            [](const StepRow& row) { return row.gradient_norm; }));
  charts.push_back(chart_of("Speed", {"tokens a second"}, runs, options.x,
                            [](const StepRow& row) { return row.tokens_per_second; }));
  charts.push_back(chart_of("Memory of the process", {"", chart::Unit::kBytes}, runs, options.x,
                            [](const StepRow& row) { return static_cast<double>(row.memory_bytes); }));
  return charts;
}

}  // namespace martlet::train
