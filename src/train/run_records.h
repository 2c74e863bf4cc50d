#pragma once

// Reading the log of training runs.

#include "train/run_log.h"

namespace martlet::train {

/// A run as the log has it.
struct LoggedRun {
  int64_t id = 0;
  RunDescription description;
  RunState state = RunState::kRunning;
  std::string message;  ///< why it failed
  double started = 0;   ///< seconds since 1970
  int64_t steps = 0;    ///< done; of the last row of `steps`, as are the next two
  int64_t tokens = 0;
  double seconds = 0;
  double loss = 0;  ///< mean of the last rows; NaN without any, or when one of them was not finite
  std::optional<double> eval_loss;  ///< the last one
  std::optional<double> best_eval_loss;
};

class RunRecords {
 public:
  /// Throws as `open_run_database`; kBadInput when there is no such file.
  explicit RunRecords(const std::string& path);

  /// Newest first.
  std::vector<LoggedRun> all();
  /// The run that a word means: "last", its number, its name, its folder, or a beginning of one name or
  /// another. Throws kBadInput when there is none or more than one.
  LoggedRun find(const std::string& word);
  /// Its steps in order.
  std::vector<StepRow> rows(int64_t id);
  /// The run and its steps, and none of its files. Throws kFailed while it runs.
  void remove(const LoggedRun& run);

 private:
  std::unique_ptr<Database> database_;
};

}  // namespace martlet::train
