#include "eval/interval.h"

#include <cmath>

namespace martlet::eval {

Interval wilson_interval(int64_t right, int64_t total, double z) {
  if (total <= 0) return {};
  const auto n = static_cast<double>(total);
  const double share = static_cast<double>(right) / n;
  const double square = z * z;
  const double centre = (share + square / (2 * n)) / (1 + square / n);
  const double half = z / (1 + square / n) * std::sqrt(share * (1 - share) / n + square / (4 * n * n));
  // Exact where rounding would miss it by a hair.
  return {right == 0 ? 0 : centre - half, right == total ? 1 : centre + half};
}

}  // namespace martlet::eval
