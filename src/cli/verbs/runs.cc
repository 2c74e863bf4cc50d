#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/chart/svg.h"
#include "base/chart/terminal.h"
#include "base/display.h"
#include "base/error.h"
#include "base/files.h"
#include "base/human.h"
#include "cli/options.h"
#include "cli/run_recorder.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "train/run_page.h"

namespace martlet::cli {
namespace {

using train::LoggedRun;
using train::RunCurve;
using train::RunRecords;

// The least columns that a table's last cell is cut to.
constexpr int kLeastColumns = 12;

struct Request {
  std::string action = "list", log_file, x = "step", svg, html, draw = "auto";
  std::vector<std::string> words;
  int64_t smooth = 0;
  bool json = false, logarithmic = false;

  train::CurveOptions curves() const {
    train::CurveOptions options;
    options.x = x == "tokens" ? train::CurveX::kTokens
                : x == "time" ? train::CurveX::kTime
                              : train::CurveX::kStep;
    options.smooth = static_cast<double>(smooth);
    options.logarithmic = logarithmic;
    return options;
  }
};

Json number_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json number_or_null(std::optional<double> value) {
  return value ? number_or_null(*value) : Json(nullptr);
}

Json run_json(const LoggedRun& run) {
  const train::RunDescription& about = run.description;
  Json row;
  row.set("id", run.id).set("name", about.name).set("folder", about.folder);
  row.set("state", train::state_name(run.state)).set("message", run.message).set("started", run.started);
  row.set("steps", run.steps).set("planned_steps", about.steps).set("tokens", run.tokens);
  row.set("seconds", run.seconds).set("loss", number_or_null(run.loss));
  row.set("eval_loss", number_or_null(run.eval_loss))
      .set("best_eval_loss", number_or_null(run.best_eval_loss));
  row.set("parameters", about.parameters).set("seed", about.seed).set("version", about.version);
  row.set("machine", about.machine).set("recipe", about.recipe);
  return row;
}

Json rows_json(const std::vector<train::StepRow>& rows) {
  Json list{Json::Array{}};
  for (const train::StepRow& row : rows) {
    Json one;
    one.set("step", row.step).set("seconds", row.seconds).set("tokens", row.tokens);
    one.set("loss", number_or_null(row.loss)).set("learning_rate", number_or_null(row.learning_rate));
    one.set("grad_norm", number_or_null(row.gradient_norm));
    one.set("tokens_per_s", number_or_null(row.tokens_per_second)).set("memory_bytes", row.memory_bytes);
    one.set("eval_loss", number_or_null(row.eval_loss));
    list.push_back(std::move(one));
  }
  return list;
}

std::string loss_text(std::optional<double> loss) {
  return loss && std::isfinite(*loss) ? fmt::format("{:.4f}", *loss) : "-";
}

/// The folder as a person would name it.
std::string short_folder(const std::string& folder) {
  const char* home = std::getenv("HOME");
  const std::string start = home == nullptr ? "" : home;
  return start.size() > 1 && folder.starts_with(start + "/") ? "~" + folder.substr(start.size()) : folder;
}

int list(const Request& r) {
  const std::string path = run_log_path(r.log_file);
  std::vector<LoggedRun> runs;
  if (file_exists(path)) runs = RunRecords(path).all();
  if (r.json) {
    Json all{Json::Array{}};
    for (const LoggedRun& run : runs) all.push_back(run_json(run));
    fmt::print("{}\n", all.dump());
    return 0;
  }
  if (runs.empty()) {
    fmt::print("No run has been logged yet; `martlet train` logs each into {}.\n", path);
    return 0;
  }
  std::vector<std::vector<std::string>> table{
      {"ID", "NAME", "STATE", "STEPS", "LOSS", "HELD OUT", "TIME", "STARTED", "FOLDER"}};
  for (const LoggedRun& run : runs)
    table.push_back({std::to_string(run.id), fitted(one_line(run.description.name), 24, true),
                     std::string(train::state_name(run.state)),
                     fmt::format("{}/{}", run.steps, run.description.steps), loss_text(run.loss),
                     loss_text(run.eval_loss), format_duration(run.seconds), format_moment(run.started),
                     one_line(short_folder(run.description.folder))});
  fmt::print("{}", table_text(table));
  return 0;
}

void print_table(const chart::Table& table) {
  if (table.rows.empty()) return;
  fmt::print("\n{}\n", styled(Style::kBold, table.heading));
  // Names to the left, values as wide as the terminal has room for.
  size_t names = 0;
  for (const auto& row : table.rows) names = std::max(names, row[0].size());
  const int each = std::max<int>(
      kLeastColumns,
      (terminal_width() - 4 - static_cast<int>(names)) / static_cast<int>(table.rows[0].size() - 1) - 2);
  const auto cut = [&](const std::string& cell) { return fitted(one_line(cell), each, true); };
  std::vector<int> widths(table.rows[0].size());
  std::vector<std::vector<std::string>> lines;
  if (table.columns.size() > 2) lines.push_back(table.columns);
  lines.insert(lines.end(), table.rows.begin(), table.rows.end());
  for (auto& line : lines)
    for (size_t i = 1; i < line.size(); ++i) {
      line[i] = cut(line[i]);
      widths[i] = std::max(widths[i], text_columns(line[i]));
    }
  for (const auto& line : lines) {
    std::string text = fmt::format("  {:<{}}", line[0], names);
    for (size_t i = 1; i < line.size(); ++i)
      text += "  " + line[i] + std::string(static_cast<size_t>(widths[i] - text_columns(line[i])), ' ');
    text.erase(text.find_last_not_of(' ') + 1);
    fmt::print("{}\n", text);
  }
}

void print_chart(const Request& r, const chart::Chart& chart) {
  chart::TerminalOptions options;
  options.columns = terminal_width();
  options.unicode = r.draw == "auto" ? terminal_shows_unicode() : r.draw == "braille";
  options.colours = wants_colours();
  fmt::print("\n{}", chart::terminal(chart, options));
}

/// Files that were asked for, from the page that has it all.
void write_files(const Request& r, const chart::Page& page) {
  if (!r.svg.empty()) {
    chart::Chart loss = page.charts.front();
    loss.title = page.title;
    write_file(r.svg, chart::svg(loss));
    fmt::print("{}\n", r.svg);
  }
  if (!r.html.empty()) {
    write_file(r.html, chart::html(page));
    fmt::print("{}\n", r.html);
  }
}

int show(const Request& r) {
  RunRecords records(run_log_path(r.log_file));
  const LoggedRun run = records.find(r.words.empty() ? "last" : r.words.front());
  std::vector<train::StepRow> rows = records.rows(run.id);
  if (r.json) {
    Json json = run_json(run);
    json.set("rows", rows_json(rows));
    fmt::print("{}\n", json.dump());
    return 0;
  }
  const bool empty = rows.empty();
  const chart::Page page = train::run_page(run, std::move(rows), r.curves());
  if (!r.svg.empty() || !r.html.empty()) {
    write_files(r, page);
    return 0;
  }
  fmt::print("{}\n{}\n", styled(Style::kBold, one_line(page.title)), one_line(page.summary));
  if (!empty) print_chart(r, page.charts.front());
  for (const chart::Table& table : page.tables) print_table(table);
  return 0;
}

int compare(const Request& r) {
  if (r.words.size() < 2)
    fail(ErrorCode::kUsage, "runs compare needs two runs or more; `martlet runs` lists them");
  RunRecords records(run_log_path(r.log_file));
  std::vector<LoggedRun> runs;
  std::vector<RunCurve> curves;
  for (const std::string& word : r.words) {
    runs.push_back(records.find(word));
    curves.push_back({train::run_title(runs.back()), records.rows(runs.back().id)});
  }
  if (r.json) {
    Json all{Json::Array{}};
    for (size_t i = 0; i < runs.size(); ++i) {
      all.push_back(run_json(runs[i]));
      all.array().back().set("rows", rows_json(curves[i].rows));
    }
    fmt::print("{}\n", all.dump());
    return 0;
  }
  const chart::Page page = train::comparison_page(runs, curves, r.curves());
  if (!r.svg.empty() || !r.html.empty()) {
    write_files(r, page);
    return 0;
  }
  print_chart(r, page.charts.front());
  for (const chart::Table& table : page.tables) print_table(table);
  return 0;
}

int remove(const Request& r) {
  if (r.words.size() != 1) fail(ErrorCode::kUsage, "runs remove needs one RUN; `martlet runs` lists them");
  RunRecords records(run_log_path(r.log_file));
  const LoggedRun run = records.find(r.words.front());
  records.remove(run);
  fmt::print("{} was removed from the log; its folder {} stays\n", train::run_title(run),
             run.description.folder);
  return 0;
}

}  // namespace

int run_runs(std::span<const std::string> arguments) {
  Request r;
  Options options("runs", "martlet runs compare last stories --x time --html both.html");
  options.positional("ACTION", r.action, "list, show, compare or remove", false)
      .positionals("RUN", r.words, "a number, a name or its beginning, a folder, or last", false)
      .choice("--x", r.x, {"step", "tokens", "time"}, "what curves run along")
      .count("--smooth", "N", r.smooth,
             "steps that the smoothed loss looks back over; 0: a fiftieth of the run")
      .flag("--log-scale", r.logarithmic, "the loss on a logarithmic axis")
      .choice("--draw", r.draw, {"auto", "braille", "ascii"}, "how curves are drawn here")
      .text("--svg", "FILE", r.svg, "write the curve as a picture instead")
      .text("--html", "FILE", r.html, "write all curves and tables as a page instead")
      .text("--runs", "FILE", r.log_file, "the log of runs, in place of $MARTLET_RUNS and the usual one")
      .flag("--json", r.json, "for programs");
  if (!options.parse(arguments)) return 0;
  if (r.action == "show") {
    if (r.words.size() > 1) fail(ErrorCode::kUsage, "runs show takes one RUN; `runs compare` takes several");
    return show(r);
  }
  if (r.action == "compare") return compare(r);
  if (r.action == "remove") return remove(r);
  if (r.action != "list" || !r.words.empty())
    fail(ErrorCode::kUsage, "runs knows 'list', 'show RUN', 'compare RUN RUN' and 'remove RUN', not '{}'",
         r.action == "list" ? "list " + r.words.front() : r.action);
  return list(r);
}

}  // namespace martlet::cli
