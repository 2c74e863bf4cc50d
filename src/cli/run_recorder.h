#pragma once

// What a training run leaves for people to look at: its rows in the log of runs, event files for TensorBoard,
// and its curve as a picture and a page.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/record_options.h"
#include "train/event_file.h"
#include "train/run.h"
#include "train/run_page.h"

namespace martlet::cli {

/// Follows one run. What cannot be written is told once, as a note, and training goes on without it.
class RunRecorder {
 public:
  /// `description` wants recipe, seed, parameters and steps; the rest is filled in from the folder and the
  /// machine.
  RunRecorder(const RecordOptions& options, const train::RunOptions& run, train::RunDescription description,
              train::OnNote on_note);
  ~RunRecorder();
  RunRecorder(const RunRecorder&) = delete;
  RunRecorder& operator=(const RunRecorder&) = delete;

  /// Before the first step of this process, when so many are done. Says from where the curve begins, where
  /// that is not the first step.
  void begin(int64_t steps_done);
  /// Whatever is not written yet is, before a checkpoint that would outlive it.
  void settle();
  /// After each step.
  void step(const train::StepMetrics& metrics);
  /// Runs `work`, which calls `step`, notes how it ended, and writes curve.svg and curve.html into the run's
  /// folder.
  train::RunOutcome follow(const std::function<train::RunOutcome()>& work);

  /// The number of the run in the log, where there is one.
  std::optional<int64_t> id() const;
  /// A sentence that says where to look: "curve.html in OUT shows the run, and so does `martlet runs show
  /// 7`".
  std::string where() const;

 private:
  void guard(std::string_view what, const std::function<void()>& work);
  /// What the log has of the run, or this process; what came before that, from the metrics.
  std::vector<train::StepRow> all_rows() const;
  void open_events(int64_t first_step);
  void finish(train::RunState state, const std::string& message);
  void write_curves();
  train::LoggedRun as_logged() const;

  const RecordOptions& options_;
  train::RunDescription description_;
  train::OnNote on_note_;
  bool resume_;
  std::optional<train::RunLog> log_;
  std::optional<int64_t> id_;
  std::optional<train::EventFile> events_;
  bool wants_events_;
  std::string metrics_;               // the file; or empty
  std::vector<train::StepRow> rows_;  // of this process
  std::chrono::steady_clock::time_point began_;
  double started_ = 0;
  train::RunState state_ = train::RunState::kRunning;
  std::string message_;
};

}  // namespace martlet::cli
