#include "cli/run_recorder.h"

#include <cmath>
#include <filesystem>

#include "base/chart/svg.h"
#include "base/error.h"
#include "base/files.h"
#include "base/machine_facts.h"
#include "cli/version.h"
#include "train/metrics.h"

namespace martlet::cli {
namespace {

using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

std::string absolute_folder(const std::string& folder) {
  std::error_code error;
  const fs::path path = fs::weakly_canonical(folder, error);
  if (error) return folder;
  return path.has_filename() ? path.string() : path.parent_path().string();
}

}  // namespace

RunRecorder::RunRecorder(const RecordOptions& options, const train::RunOptions& run,
                         train::RunDescription description, train::OnNote on_note)
    : options_(options),
      description_(std::move(description)),
      on_note_(std::move(on_note)),
      resume_(run.resume),
      wants_events_(!options.tensorboard.empty()),
      metrics_(run.metrics),
      began_(Clock::now()) {
  started_ = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  description_.folder = absolute_folder(run.folder);
  description_.name = options.name.empty() ? fs::path(description_.folder).filename().string() : options.name;
  description_.version = code_version();
  description_.machine = machine_facts();
  if (options.no_log) return;
  guard("the log of runs", [&] {
    const std::string path = run_log_path(options.log_file);
    if (const fs::path folder = fs::path(path).parent_path(); !folder.empty())
      make_directories(folder.string());
    log_.emplace(path, description_, resume_);
    id_ = log_->id();
  });
}

RunRecorder::~RunRecorder() {
  if (state_ == train::RunState::kRunning) finish(train::RunState::kFailed, "");
}

void RunRecorder::guard(std::string_view what, const std::function<void()>& work) {
  std::string reason;
  try {
    work();
    return;
  } catch (const Error& error) {
    reason = error.what();
  } catch (const fs::filesystem_error& error) {
    reason = error.path1().string() + ": " + error.code().message();
  }
  on_note_(fmt::format("training goes on without {}: {}", what, reason));
  if (what == "the log of runs") log_.reset();
}

void RunRecorder::open_events(int64_t first_step) {
  guard("event files",
        [&] { events_.emplace(options_.tensorboard, resume_ ? std::optional(first_step) : std::nullopt); });
  wants_events_ = false;
}

void RunRecorder::begin(int64_t steps_done) {
  if (log_) guard("the log of runs", [&] { log_->begin_at(steps_done); });
  if (steps_done == 0) return;
  std::vector<train::StepRow> before = train::metrics_before(metrics_, steps_done);
  int64_t first = before.empty() ? steps_done : before.front().step;
  if (log_)
    guard("the log of runs", [&] {
      const std::vector<train::StepRow> logged = train::RunRecords(log_->path()).rows(log_->id());
      if (!logged.empty()) first = std::min(first, logged.front().step);
    });
  if (first > 0)
    on_note_(fmt::format("the curve begins at step {}, for {} the steps before", first + 1,
                         options_.no_log
                             ? "without the log of runs only --metrics F.jsonl of the whole run has"
                             : "neither the log of runs nor --metrics has"));
}

void RunRecorder::settle() {
  if (log_) guard("the log of runs", [&] { log_->flush_patiently(); });
}

void RunRecorder::step(const train::StepMetrics& metrics) {
  // A run that went back does these steps again.
  while (!rows_.empty() && rows_.back().step >= metrics.step) rows_.pop_back();
  train::StepRow row;
  row.step = metrics.step;
  row.seconds = std::chrono::duration<double>(Clock::now() - began_).count();
  row.tokens = metrics.tokens + (rows_.empty() ? 0 : rows_.back().tokens);
  row.loss = metrics.loss;
  row.learning_rate = metrics.learning_rate;
  row.gradient_norm = metrics.gradient_norm;
  row.tokens_per_second = metrics.tokens_per_second();
  row.memory_bytes = train::resident_bytes();
  row.eval_loss = metrics.eval_loss;
  rows_.push_back(row);
  if (log_) guard("the log of runs", [&] { log_->write(row); });
  if (wants_events_) open_events(metrics.step);
  if (!events_) return;
  bool wrote = false;
  guard("event files", [&] {
    events_->write(row);
    wrote = true;
  });
  if (!wrote) events_.reset();
}

train::RunOutcome RunRecorder::follow(const std::function<train::RunOutcome()>& work) {
  train::RunOutcome outcome;
  try {
    outcome = work();
  } catch (const Error& error) {
    const bool stopped = error.code() == ErrorCode::kInterrupted;
    finish(stopped ? train::RunState::kInterrupted : train::RunState::kFailed, error.what());
    throw;
  } catch (const std::exception& error) {
    finish(train::RunState::kFailed, error.what());
    throw;
  }
  finish(outcome.interrupted ? train::RunState::kInterrupted : train::RunState::kDone,
         outcome.data_ended ? "the data ended" : "");
  return outcome;
}

void RunRecorder::finish(train::RunState state, const std::string& message) {
  state_ = state;
  message_ = message;
  if (log_) guard("the log of runs", [&] { log_->finish(state, message); });
  events_.reset();
  if (!rows_.empty()) guard("curves", [&] { write_curves(); });
}

train::LoggedRun RunRecorder::as_logged() const {
  train::LoggedRun run;
  run.id = id_.value_or(0);
  run.description = description_;
  run.state = state_;
  run.message = message_;
  run.started = started_;
  if (rows_.empty()) return run;
  run.steps = rows_.back().step + 1;
  run.tokens = rows_.back().tokens;
  run.seconds = rows_.back().seconds;
  run.loss = rows_.back().loss;
  for (const train::StepRow& row : rows_)
    if (row.eval_loss) {
      run.eval_loss = row.eval_loss;
      run.best_eval_loss = std::min(*row.eval_loss, run.best_eval_loss.value_or(*row.eval_loss));
    }
  return run;
}

std::vector<train::StepRow> RunRecorder::all_rows() const {
  std::vector<train::StepRow> rows = log_ ? train::RunRecords(log_->path()).rows(log_->id()) : rows_;
  if (rows.empty() || rows.front().step == 0) return rows;
  std::vector<train::StepRow> all = train::metrics_before(metrics_, rows.front().step);
  all.insert(all.end(), rows.begin(), rows.end());
  return all;
}

void RunRecorder::write_curves() {
  train::LoggedRun run = as_logged();
  if (log_) run = train::RunRecords(log_->path()).find(std::to_string(log_->id()));
  const chart::Page page = train::run_page(run, all_rows(), {});
  chart::Chart loss = page.charts.front();
  loss.title = description_.name;
  write_file(description_.folder + "/curve.svg", chart::svg(loss));
  write_file(description_.folder + "/curve.html", chart::html(page));
}

std::optional<int64_t> RunRecorder::id() const {
  return log_ ? id_ : std::nullopt;
}

std::string RunRecorder::where() const {
  const std::string page = fmt::format("Its curve is in {}/curve.html", description_.folder);
  return id() ? fmt::format("{}; `martlet runs show {}` draws it here.", page, *id()) : page + ".";
}

}  // namespace martlet::cli
