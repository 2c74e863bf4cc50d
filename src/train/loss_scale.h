#pragma once

#include <cstdint>

#include "base/json.h"

namespace martlet::train {

/// What the loss is multiplied by before the backward, so that gradients which are rounded to f16 lie within
/// its range; the optimiser divides by it again. A power of two, which costs no bits.
///
/// The rule: where gradients overflow, the scale halves and the step is skipped; after 2,000 steps in a row
/// without, it doubles. So it stays near the largest that the run bears. Micikevicius et al., "Mixed
/// Precision Training", 2018, section 3.2; the numbers are those of PyTorch's GradScaler.
class LossScale {
 public:
  /// From 65536 on; or not `used`: 1, always.
  explicit LossScale(bool used) : used_(used), value_(used ? kFirst : 1) {}

  bool is_used() const { return used_; }
  double value() const { return value_; }
  /// After a step whose gradients were finite.
  void keep();
  /// After one whose gradients were not. False at a scale of 1, or where none is used: then it is not the
  /// scale that makes them so.
  bool halve();
  /// A power of two from 1 on; throws BadInput for others.
  void set(double value);

  /// What a checkpoint remembers.
  Json to_json() const;
  /// Throws BadInput.
  void restore(const Json& json);

  static constexpr double kFirst = 65536;
  static constexpr int64_t kStepsToDouble = 2000;
  /// f32, in which gradients are summed, has room above even this.
  static constexpr double kMost = 16777216;

 private:
  bool used_;
  double value_;
  int64_t kept_ = 0;  // steps in a row
};

}  // namespace martlet::train
