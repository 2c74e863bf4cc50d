#include "cli/learning_curve.h"

#include <sstream>

#include "base/chart/svg.h"
#include "base/files.h"
#include "base/json.h"

namespace martlet::cli {

chart::Chart learning_curve(const std::string& metrics_file, const std::string& title) {
  chart::Series losses{"", {}, chart::Look::kFaint, 0}, held_out{"held-out data", {}, chart::Look::kMarks, 1};
  std::istringstream lines(read_file(metrics_file));
  for (std::string line; std::getline(lines, line);) {
    const Json row = Json::parse(line, metrics_file);
    const auto step = static_cast<double>(row.at("step").integer() + 1);
    losses.points.push_back({step, row.at("loss").real()});
    if (const Json* loss = row.find("eval_loss")) held_out.points.push_back({step, loss->real()});
  }
  chart::Chart curve;
  curve.title = title;
  curve.x = {"step", chart::Unit::kCount, chart::Scale::kLinear};
  curve.y = {"loss, nats a token", chart::Unit::kNumber, chart::Scale::kLinear};
  const chart::Series smooth{"training",
                             chart::smoothed(losses.points, chart::usual_window(losses.points.size())),
                             chart::Look::kLine, 0};
  curve.series = {std::move(losses), smooth};
  if (!held_out.points.empty()) curve.series.push_back(std::move(held_out));
  return curve;
}

void write_learning_curve(const chart::Chart& curve, const std::string& summary,
                          std::vector<chart::Table> tables, const std::string& folder) {
  write_file(folder + "/curve.svg", chart::svg(curve));
  write_file(folder + "/curve.html", chart::html({curve.title, summary, {curve}, std::move(tables)}));
}

}  // namespace martlet::cli
