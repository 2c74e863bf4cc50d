#pragma once

#include <cstdint>
#include <optional>

namespace martlet::train {

/// What is known of a step for good: a row of the log of runs.
struct StepRow {
  int64_t step = 0;    ///< from 0
  double seconds = 0;  ///< of the run, to the end of the step; a pause between stop and resume does not count
  int64_t tokens = 0;  ///< of the run, to the end of the step
  double loss = 0;
  double learning_rate = 0;
  double gradient_norm = 0;
  double tokens_per_second = 0;
  int64_t memory_bytes = 0;
  std::optional<double> eval_loss;
};

}  // namespace martlet::train
