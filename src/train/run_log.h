#pragma once

// The log of training runs: one SQLite file that all of a person's runs write to, each a row of `runs` with
// what it was asked and where it ran, and a row of `steps` for every step. `run_records.h` reads it.

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/database.h"
#include "base/json.h"
#include "train/step_row.h"

namespace martlet::train {

/// A run as it begins.
struct RunDescription {
  std::string name;
  std::string folder;   ///< absolute
  Json recipe;          ///< every option by its key
  std::string version;  ///< of the code
  Json machine;
  int64_t seed = 0;
  int64_t parameters = 0;
  int64_t steps = 0;  ///< planned
};

enum class RunState : uint8_t {
  kRunning,
  kDone,
  kInterrupted,  ///< a person stopped it; it can be resumed
  kFailed,
  kBrokenOff,  ///< its process is gone and said nothing: read, never written
};
std::string_view state_name(RunState state);

/// Opens the file, makes it and its tables where they are not there yet (`open`). Throws as `Database`, and
/// kBadInput when a newer program made it.
std::unique_ptr<Database> open_run_database(const std::string& path, Database::Open open,
                                            double wait_seconds);

/// Writes one run. Rows are gathered and written in one transaction a second, without waiting for the disk:
/// kill -9 loses the rows of that second at most, and a power cut leaves a whole file. While another process
/// holds the file, rows wait in memory and training does not.
class RunLog {
 public:
  /// Adds the run, or with `resume` takes up the newest run of that folder where there is one: its rows from
  /// the first step that is written on are replaced. Throws as `open_run_database`.
  RunLog(const std::string& path, const RunDescription& description, bool resume);
  /// Writes what is gathered; a run that was not finished then counts as broken off.
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  int64_t id() const { return id_; }
  const std::string& path() const { return database_->path(); }

  /// That this process begins with `step`: rows of it and of later ones, which a process that was killed may
  /// have left, go. Throws as `Database`.
  void begin_at(int64_t step);
  /// `seconds` and `tokens` of the row count from this process' first step; what a resumed run did before is
  /// added. A step that was written before (a run went back) replaces it and all after it. Throws as
  /// `Database`.
  void write(const StepRow& row);
  void finish(RunState state, const std::string& message);
  /// Writes what is gathered now; false while another process holds the file.
  bool flush();
  /// The same, and waits longer for the other process: before a checkpoint, from which a run goes on and
  /// writes no step again.
  bool flush_patiently();

 private:
  void insert_run(const RunDescription& description, bool resume);
  void cut(int64_t step);

  std::unique_ptr<Database> database_;
  std::optional<Statement> insert_;
  std::vector<StepRow> pending_;
  int64_t id_ = 0;
  int64_t last_step_ = -1;           // written or gathered
  std::optional<int64_t> cut_from_;  // rows of this step and later ones go before the next are written
  std::optional<StepRow> before_;    // the row before the first step of this process
  bool resumed_ = false;
  std::chrono::steady_clock::time_point flushed_;
};

}  // namespace martlet::train
