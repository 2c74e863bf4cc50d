#pragma once

// What this machine does in a second of training, measured with the very kernels that models train on, and
// what the costs of operations take at these speeds.

#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "ops/dry_run.h"

namespace martlet::plan {

struct TrainingSpeed {
  struct Kind {
    std::string kind;  ///< see ops::Cost
    double operations_per_s = 0;
  };
  std::vector<Kind> kinds;      ///< products and attention, forward and backward together
  double operations_per_s = 0;  ///< element after element, of functions such as SiLU
  double near_bytes_per_s = 0;  ///< read and written, of what the caches hold
  double far_bytes_per_s = 0;   ///< of what they do not
  double cache_bytes = 0;       ///< what counts as near
  double call_seconds = 0;      ///< of an operation on next to nothing

  /// What the calls of a row take: the longer of arithmetic and bytes.
  double seconds_of(const ops::CostRow& row) const;
  double seconds_of(std::span<const ops::CostRow> rows) const;
  Json to_json() const;
};

/// Measures on all threads: about a second, and 300 MiB of memory.
TrainingSpeed measure_training_speed();

}  // namespace martlet::plan
