#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "train/trainer.h"

namespace martlet::cli {

/// The live line of a run on standard error: step, loss, tokens a second, time left, memory. Where that is no
/// terminal, a line now and then.
class TrainingLine {
 public:
  explicit TrainingLine(int64_t steps) : steps_(steps) {}

  void show(const train::StepMetrics& metrics);
  /// A sentence that stays.
  void note(const std::string& text);
  void finish();

 private:
  int64_t steps_;
  double smooth_loss_ = 0;
  double smooth_seconds_ = 0;
  std::optional<double> eval_loss_;  // the last one
  int64_t shown_ = 0;
  std::chrono::steady_clock::time_point last_{};
  bool drawn_ = false;
};

}  // namespace martlet::cli
