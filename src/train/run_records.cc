#include "train/run_records.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/files.h"
#include "base/human.h"
#include "base/process.h"

namespace martlet::train {
namespace {

constexpr double kPatience = 10;
// The loss of a run is the mean over so many rows.
constexpr int64_t kLastRows = 20;

RunState state_of(const std::string& name, const std::string& process) {
  for (const RunState state : {RunState::kDone, RunState::kInterrupted, RunState::kFailed})
    if (name == state_name(state)) return state;
  return process_runs(process) ? RunState::kRunning : RunState::kBrokenOff;
}

/// What the steps of a run come to.
void add_steps(Database& database, LoggedRun& run) {
  Statement last(database,
                 "SELECT step, tokens, seconds, loss FROM steps WHERE run=? ORDER BY step DESC LIMIT ?");
  last.bind(1, run.id).bind(2, kLastRows);
  double sum = 0;
  int64_t rows = 0;
  while (last.step()) {
    if (rows++ == 0) {
      run.steps = last.integer(0) + 1;
      run.tokens = last.integer(1);
      run.seconds = last.real(2);
    }
    sum += last.real(3);
  }
  run.loss = rows == 0 ? NAN : sum / static_cast<double>(rows);
  Statement evaluated(database,
                      "SELECT eval_loss FROM steps WHERE run=? AND eval_loss IS NOT NULL ORDER BY step");
  evaluated.bind(1, run.id);
  while (evaluated.step()) {
    run.eval_loss = evaluated.real(0);
    run.best_eval_loss = std::min(*run.eval_loss, run.best_eval_loss.value_or(*run.eval_loss));
  }
}

std::string folder_of(const std::string& word) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::weakly_canonical(word, error);
  if (error) return word;
  return path.has_filename() ? path.string() : path.parent_path().string();
}

}  // namespace

RunRecords::RunRecords(const std::string& path) {
  if (!file_exists(path)) bad_input("{}: there is no log of runs yet; `martlet train` makes it", path);
  database_ = open_run_database(path, Database::Open::kExisting, kPatience);
}

std::vector<LoggedRun> RunRecords::all() {
  Statement statement(
      *database_,
      "SELECT id, name, folder, started, state, message, process, recipe, version, machine, seed, "
      "parameters, planned_steps FROM runs ORDER BY id DESC");
  std::vector<LoggedRun> runs;
  while (statement.step()) {
    LoggedRun run;
    run.id = statement.integer(0);
    RunDescription& description = run.description;
    description.name = statement.text(1);
    description.folder = statement.text(2);
    run.started = statement.real(3);
    run.state = state_of(statement.text(4), statement.text(6));
    run.message = statement.text(5);
    description.recipe = Json::parse(statement.text(7), database_->path());
    description.version = statement.text(8);
    description.machine = Json::parse(statement.text(9), database_->path());
    description.seed = statement.integer(10);
    description.parameters = statement.integer(11);
    description.steps = statement.integer(12);
    add_steps(*database_, run);
    runs.push_back(std::move(run));
  }
  return runs;
}

LoggedRun RunRecords::find(const std::string& word) {
  const std::vector<LoggedRun> runs = all();
  if (runs.empty()) bad_input("{}: no run has been logged yet; `martlet train` does", database_->path());
  if (word == "last") return runs.front();
  const std::string folder = folder_of(word);
  const auto number = [&](const LoggedRun& run) { return std::to_string(run.id) == word; };
  const auto name = [&](const LoggedRun& run) { return run.description.name == word; };
  const auto place = [&](const LoggedRun& run) { return run.description.folder == folder; };
  const auto beginning = [&](const LoggedRun& run) { return run.description.name.starts_with(word); };
  const auto matching = [&](const auto& rule) {
    std::vector<LoggedRun> found;
    std::copy_if(runs.begin(), runs.end(), std::back_inserter(found), rule);
    return found;
  };
  std::vector<LoggedRun> found = matching(number);
  if (found.empty()) found = matching(name);
  // A folder that was used again means what it holds now.
  if (found.size() != 1)
    if (std::vector<LoggedRun> there = matching(place); !there.empty()) return there.front();
  if (found.empty() && !word.empty()) found = matching(beginning);
  if (found.size() == 1) return found.front();
  std::vector<std::string> known, numbers;
  for (const LoggedRun& run : found) numbers.push_back(std::to_string(run.id));
  if (!numbers.empty())
    bad_input("'{}' means the runs {}; say which by its number", word, fmt::join(numbers, ", "));
  for (const LoggedRun& run : runs) known.push_back(run.description.name);
  const std::optional<std::string> nearest = nearest_name(word, known);
  bad_input("there is no run '{}'{}; `martlet runs` lists them", word,
            nearest ? fmt::format(" (did you mean {}?)", *nearest) : "");
}

std::vector<StepRow> RunRecords::rows(int64_t id) {
  Statement statement(
      *database_,
      "SELECT step, seconds, tokens, loss, learning_rate, grad_norm, tokens_per_s, memory_bytes, "
      "eval_loss FROM steps WHERE run=? ORDER BY step");
  statement.bind(1, id);
  std::vector<StepRow> rows;
  while (statement.step()) {
    StepRow row{statement.integer(0), statement.real(1),    statement.integer(2),
                statement.real(3),    statement.real(4),    statement.real(5),
                statement.real(6),    statement.integer(7), std::nullopt};
    if (!statement.is_null(8)) row.eval_loss = statement.real(8);
    rows.push_back(row);
  }
  return rows;
}

void RunRecords::remove(const LoggedRun& run) {
  if (run.state == RunState::kRunning)
    failed("run {} is running; stop it first, and resume or remove it then", run.id);
  Statement statement(*database_, "DELETE FROM runs WHERE id=?");
  statement.bind(1, run.id).run();
}

}  // namespace martlet::train
