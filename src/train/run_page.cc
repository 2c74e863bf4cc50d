#include "train/run_page.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <set>

#include "base/human.h"

namespace martlet::train {
namespace {

using chart::Table;
using Row = std::vector<std::string>;

/// As one would write it on the command line.
std::string value_text(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.string();
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const Json& item : value.array()) text += (text.empty() ? "" : " ") + value_text(item);
  return text;
}

std::string option_text(const LoggedRun& run, const std::string& key) {
  const Json* value = run.description.recipe.find(key);
  return value == nullptr ? "" : value_text(*value);
}

std::string machine_text(const LoggedRun& run) {
  const Json& machine = run.description.machine;
  const Json *processor = machine.find("processor"), *cpus = machine.find("cpus"),
             *memory = machine.find("memory_bytes");
  if (processor == nullptr || cpus == nullptr || memory == nullptr) return "unknown";
  return fmt::format("{}, {} CPUs, {}", value_text(*processor), value_text(*cpus),
                     memory->is_integer() ? format_bytes(static_cast<uint64_t>(memory->integer())) : "");
}

std::string loss_text(std::optional<double> loss) {
  if (!loss) return "";
  return std::isfinite(*loss) ? fmt::format("{:.4f}", *loss) : "not finite";
}

std::string loss_text(const LoggedRun& run) {
  return run.steps == 0 ? "" : loss_text(std::optional(run.loss));
}

std::string speed_text(const LoggedRun& run) {
  return run.seconds > 0 ? fmt::format("{:.0f}", static_cast<double>(run.tokens) / run.seconds) : "";
}

/// A row with a cell for each run.
template <typename Cell>
Row row_of(std::string name, std::span<const LoggedRun> runs, const Cell& cell) {
  Row row{std::move(name)};
  for (const LoggedRun& run : runs) row.push_back(cell(run));
  return row;
}

Table table_of(std::string heading, std::span<const LoggedRun> runs) {
  return {std::move(heading), row_of("", runs, run_title), {}};
}

}  // namespace

std::string run_title(const LoggedRun& run) {
  return fmt::format("Run {}: {}", run.id, run.description.name);
}

std::string run_summary(const LoggedRun& run) {
  std::string text = fmt::format("{}: {} of {} steps, {} tokens in {}", state_name(run.state),
                                 format_integer(run.steps), format_integer(run.description.steps),
                                 format_count(static_cast<double>(run.tokens)), format_duration(run.seconds));
  if (!run.message.empty()) text += "; " + run.message;
  return text;
}

Table recipe_table(const LoggedRun& run) {
  Table table{"Recipe", {}, {}};
  if (!run.description.recipe.is_object()) return table;
  for (const auto& [key, value] : run.description.recipe.object())
    if (const std::string text = value_text(value); !text.empty()) table.rows.push_back({key, text});
  return table;
}

Table origin_table(const LoggedRun& run) {
  return {"Origin",
          {},
          {{"folder", run.description.folder},
           {"started", format_moment(run.started)},
           {"parameters", format_integer(run.description.parameters)},
           {"code", run.description.version},
           {"machine", machine_text(run)}}};
}

Table results_table(std::span<const LoggedRun> runs) {
  Table table = table_of("Results", runs);
  table.rows = {
      row_of("state", runs, [](const LoggedRun& run) { return std::string(state_name(run.state)); }),
      row_of("loss", runs, [](const LoggedRun& run) { return loss_text(run); }),
      row_of("held-out loss", runs, [](const LoggedRun& run) { return loss_text(run.eval_loss); }),
      row_of("best held-out loss", runs, [](const LoggedRun& run) { return loss_text(run.best_eval_loss); }),
      row_of("steps", runs, [](const LoggedRun& run) { return format_integer(run.steps); }),
      row_of("tokens", runs, [](const LoggedRun& run) { return format_integer(run.tokens); }),
      row_of("time", runs, [](const LoggedRun& run) { return format_duration(run.seconds); }),
      row_of("tokens/s", runs, speed_text),
      row_of("parameters", runs,
             [](const LoggedRun& run) { return format_integer(run.description.parameters); })};
  // What no run has is left out.
  std::erase_if(table.rows, [](const Row& row) {
    return std::all_of(row.begin() + 1, row.end(), [](const std::string& cell) { return cell.empty(); });
  });
  return table;
}

Table differences_table(std::span<const LoggedRun> runs) {
  Table table = table_of("Differences", runs);
  const auto add = [&](const std::string& name, const auto& cell) {
    Row row = row_of(name, runs, cell);
    if (std::set<std::string>(row.begin() + 1, row.end()).size() > 1) table.rows.push_back(std::move(row));
  };
  // Keys in the order of the recipes, those that only a later one has at the end.
  std::vector<std::string> keys;
  for (const LoggedRun& run : runs)
    if (run.description.recipe.is_object())
      for (const auto& [key, value] : run.description.recipe.object())
        if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  for (const std::string& key : keys) add(key, [&](const LoggedRun& run) { return option_text(run, key); });
  add("code", [](const LoggedRun& run) { return run.description.version; });
  add("machine", machine_text);
  return table;
}

chart::Page run_page(const LoggedRun& run, std::vector<StepRow> rows, const CurveOptions& options) {
  const RunCurve curve{run.description.name, std::move(rows)};
  return {run_title(run),
          run_summary(run),
          run_charts("Loss", std::span(&curve, 1), options),
          {results_table(std::span(&run, 1)), recipe_table(run), origin_table(run)}};
}

chart::Page comparison_page(std::span<const LoggedRun> runs, std::span<const RunCurve> curves,
                            const CurveOptions& options) {
  chart::Page page{fmt::format("{} runs", runs.size()),
                   "",
                   run_charts("Loss, smoothed", curves, options),
                   {differences_table(runs), results_table(runs)}};
  for (const LoggedRun& run : runs) page.summary += (page.summary.empty() ? "" : "; ") + run_title(run);
  if (page.tables[0].rows.empty()) page.tables.erase(page.tables.begin());
  return page;
}

}  // namespace martlet::train
