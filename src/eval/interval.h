#pragma once

#include <cstdint>

namespace martlet::eval {

struct Interval {
  double low = 0;
  double high = 1;
};

/// Where the true share of right answers lies with 95 % confidence (`z` standard deviations), when `right` of
/// `total` were right. Unlike the usual normal interval it stays within [0, 1] and has a width at 0 and at
/// `total` too. 0 of 0 gives [0, 1]. Wilson, "Probable Inference, the Law of Succession, and Statistical
/// Inference", 1927
Interval wilson_interval(int64_t right, int64_t total, double z = 1.959963984540054);

}  // namespace martlet::eval
