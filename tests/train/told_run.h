#pragma once

// A small run of 14 steps, with all that it tells.

#include <string>
#include <vector>

#include "base/files.h"
#include "base/interrupt.h"
#include "base/temporary_folder.h"
#include "train/small_run.h"

namespace martlet::train {

inline constexpr int64_t kSteps = 14;

inline TrainerOptions trainer_options() {
  return {.schedule = {.peak = 0.01, .steps = kSteps, .warmup = 3},
          .accumulate = 2,
          .ema = 0.9,
          .spike_factor = 9};
}

inline RunOptions options_in(const TemporaryFolder& folder, const std::string& name) {
  RunOptions options;
  options.folder = folder / name;
  options.metrics = folder / (name + ".jsonl");
  options.steps = kSteps;
  options.checkpoint_seconds = 0;
  return options;
}

struct Told {
  std::vector<StepMetrics> steps;
  std::vector<std::string> notes;
  RunOutcome outcome;

  /// All notes as one text.
  std::string text() const {
    std::string all;
    for (const std::string& note : notes) all += note + "\n";
    return all;
  }
};

/// Runs, and calls `after(step)` when a step has been told.
template <typename After>
Told run_with(SmallRun& run, const RunOptions& options, After after) {
  clear_interrupt();
  Told told;
  told.outcome = run_training(
      *run.model, *run.trainer, options,
      [&](const StepMetrics& step) {
        told.steps.push_back(step);
        after(step);
      },
      [&](const std::string& note) { told.notes.push_back(note); });
  clear_interrupt();
  return told;
}

inline Told run_through(SmallRun& run, const RunOptions& options) {
  return run_with(run, options, [](const StepMetrics&) {});
}

/// The rows of a metrics file without what time and memory say.
inline std::vector<std::string> rows_of(const std::string& path) {
  std::vector<std::string> rows;
  const std::string text = read_file(path);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    Json row = Json::parse(text.substr(begin, end - begin), path);
    std::erase_if(row.object(), [](const Json::Member& member) {
      return member.first == "tokens_per_s" || member.first == "memory_bytes";
    });
    rows.push_back(row.dump());
    begin = end + 1;
  }
  return rows;
}

}  // namespace martlet::train
