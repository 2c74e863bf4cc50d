#include "train/run_log.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "base/process.h"

namespace martlet::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kVersion = 1;
constexpr double kSecondsBetweenWrites = 1;
// How long training waits for another process: at the ends, and while steps go on.
constexpr double kPatience = 10;
constexpr double kImpatience = 0.02;
// Rows that wait for another process to let the file go: an hour of the fastest steps.
constexpr size_t kMostPending = 1'000'000;

// Times are seconds since 1970. `process` is process_mark(). Without a rowid, the rows of a run lie together
// in order.
constexpr std::string_view kTables = R"(
CREATE TABLE runs(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL, folder TEXT NOT NULL,
  started REAL NOT NULL, ended REAL,
  state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '', process TEXT NOT NULL,
  recipe TEXT NOT NULL, version TEXT NOT NULL, machine TEXT NOT NULL,
  seed INTEGER NOT NULL, parameters INTEGER NOT NULL, planned_steps INTEGER NOT NULL);
CREATE INDEX runs_of_folder ON runs(folder);
CREATE TABLE steps(
  run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  step INTEGER NOT NULL, seconds REAL NOT NULL, tokens INTEGER NOT NULL,
  loss REAL, learning_rate REAL, grad_norm REAL, tokens_per_s REAL, memory_bytes INTEGER, eval_loss REAL,
  PRIMARY KEY(run, step)) WITHOUT ROWID;
CREATE INDEX evaluated_steps ON steps(run, step) WHERE eval_loss IS NOT NULL;
)";

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

std::string_view state_name(RunState state) {
  constexpr std::array<std::string_view, 5> kNames{"running", "done", "interrupted", "failed", "broken off"};
  return kNames[static_cast<size_t>(state)];
}

std::unique_ptr<Database> open_run_database(const std::string& path, Database::Open open,
                                            double wait_seconds) {
  auto database = std::make_unique<Database>(path, open, wait_seconds);
  if (database->version() == 0) {
    if (!database->begin()) failed("{}: another program has held it for {:g} s", path, wait_seconds);
    try {
      // Another process may have been first.
      if (database->version() == 0) {
        database->run(kTables);
        database->set_version(kVersion);
      }
      database->commit();
    } catch (...) {
      database->rollback();
      throw;
    }
  }
  if (const int64_t version = database->version(); version != kVersion)
    bad_input("{}: a log of version {}, and this program knows version {}; name another file", path, version,
              kVersion);
  return database;
}

RunLog::RunLog(const std::string& path, const RunDescription& description, bool resume)
    : database_(open_run_database(path, Database::Open::kCreate, kPatience)), flushed_(Clock::now()) {
  if (!database_->begin()) failed("{}: another program has held it for {:g} s", path, kPatience);
  try {
    insert_run(description, resume);
    database_->commit();
  } catch (...) {
    database_->rollback();
    throw;
  }
  insert_.emplace(
      *database_,
      "INSERT INTO steps(run, step, seconds, tokens, loss, learning_rate, grad_norm, tokens_per_s, "
      "memory_bytes, eval_loss) VALUES(?,?,?,?,?,?,?,?,?,?)");
  database_->set_wait(kImpatience);
}

RunLog::~RunLog() {
  try {
    database_->set_wait(kPatience);
    flush();
  } catch (const Error&) {
    // The rows of the last second are lost; there is nobody left to tell.
  }
}

void RunLog::insert_run(const RunDescription& description, bool resume) {
  if (resume) {
    Statement find(*database_, "SELECT id FROM runs WHERE folder=? ORDER BY id DESC LIMIT 1");
    find.bind(1, description.folder);
    if (find.step()) id_ = find.integer(0);
  }
  resumed_ = id_ != 0;
  Statement statement(
      *database_,
      resumed_ ? "UPDATE runs SET name=?, state='running', message='', ended=NULL, process=?, recipe=?, "
                 "version=?, machine=?, seed=?, parameters=?, planned_steps=? WHERE id=?"
               : "INSERT INTO runs(name, process, recipe, version, machine, seed, parameters, "
                 "planned_steps, folder, started, state) VALUES(?,?,?,?,?,?,?,?,?,?,'running')");
  statement.bind(1, description.name).bind(2, process_mark()).bind(3, description.recipe.dump());
  statement.bind(4, description.version).bind(5, description.machine.dump()).bind(6, description.seed);
  statement.bind(7, description.parameters).bind(8, description.steps);
  if (resumed_)
    statement.bind(9, id_);
  else
    statement.bind(9, description.folder).bind(10, now());
  statement.run();
  if (!resumed_) id_ = database_->last_row();
}

void RunLog::begin_at(int64_t step) {
  before_.emplace();
  if (!resumed_) return;
  Statement before(*database_,
                   "SELECT seconds, tokens FROM steps WHERE run=? AND step<? ORDER BY step DESC LIMIT 1");
  before.bind(1, id_).bind(2, step);
  if (before.step()) {
    before_->seconds = before.real(0);
    before_->tokens = before.integer(1);
  }
  cut(step);
}

void RunLog::write(const StepRow& row) {
  if (!before_) begin_at(row.step);
  if (row.step <= last_step_) cut(row.step);
  last_step_ = row.step;
  if (pending_.size() >= kMostPending)
    failed("{}: another program has held it while {} steps went by", database_->path(), pending_.size());
  pending_.push_back(row);
  pending_.back().seconds += before_->seconds;
  pending_.back().tokens += before_->tokens;
  if (std::chrono::duration<double>(Clock::now() - flushed_).count() >= kSecondsBetweenWrites) flush();
}

void RunLog::cut(int64_t step) {
  std::erase_if(pending_, [&](const StepRow& row) { return row.step >= step; });
  cut_from_ = std::min(step, cut_from_.value_or(step));
}

bool RunLog::flush_patiently() {
  database_->set_wait(kSecondsBetweenWrites);
  const bool written = flush();
  database_->set_wait(kImpatience);
  return written;
}

bool RunLog::flush() {
  flushed_ = Clock::now();
  if (pending_.empty() && !cut_from_) return true;
  if (!database_->begin()) return false;
  try {
    if (cut_from_) {
      Statement remove(*database_, "DELETE FROM steps WHERE run=? AND step>=?");
      remove.bind(1, id_).bind(2, *cut_from_).run();
    }
    for (const StepRow& row : pending_) {
      insert_->bind(1, id_).bind(2, row.step).bind(3, row.seconds).bind(4, row.tokens).bind(5, row.loss);
      insert_->bind(6, row.learning_rate).bind(7, row.gradient_norm).bind(8, row.tokens_per_second);
      insert_->bind(9, row.memory_bytes).bind(10, row.eval_loss.value_or(NAN)).run();
    }
    database_->commit();
  } catch (...) {
    database_->rollback();
    throw;
  }
  pending_.clear();
  cut_from_.reset();
  return true;
}

void RunLog::finish(RunState state, const std::string& message) {
  database_->set_wait(kPatience);
  if (!flush()) failed("{}: another program has held it for {:g} s", database_->path(), kPatience);
  Statement statement(*database_, "UPDATE runs SET state=?, message=?, ended=? WHERE id=?");
  statement.bind(1, state_name(state)).bind(2, message).bind(3, now()).bind(4, id_).run();
}

}  // namespace martlet::train
