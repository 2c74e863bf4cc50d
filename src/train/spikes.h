#pragma once

#include <cstdint>

#include "base/json.h"

namespace martlet::train {

/// Tells a loss that stands far above the recent ones: a bad batch or the beginning of a run's end.
///
/// The rule: of the good losses so far, exponentially weighted so that about the last 50 count, let m be the
/// mean and s the standard deviation, no less than a hundredth of m. From the 50th on, a loss above
/// m + factor * s is a spike. A spike does not enter m and s. A falling loss never is one, and with a factor
/// of 6 or more a run whose batches are alike never has one by chance.
class SpikeDetector {
 public:
  /// 0: nothing is a spike.
  explicit SpikeDetector(double factor) : factor_(factor) {}

  /// Judges a finite loss, and remembers it unless it is a spike.
  bool is_spike(double loss);
  double mean() const { return mean_; }
  double deviation() const;

  /// What it remembers, for checkpoints.
  Json to_json() const;
  /// Throws BadInput.
  void restore(const Json& json);

 private:
  double factor_;
  int64_t seen_ = 0;
  double mean_ = 0;
  double variance_ = 0;
};

}  // namespace martlet::train
