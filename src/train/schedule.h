#pragma once

// The learning rate of every step.

#include <cstdint>
#include <string_view>

namespace martlet::train {

enum class ScheduleShape : uint8_t {
  kConstant,
  kCosine,  ///< half a cosine from the peak to the end. Loshchilov and Hutter, "SGDR", 2017
  kLinear,
  kWsd,  ///< warm-up, stable, decay: constant, then linear over the last part. Hu et al., "MiniCPM", 2024
};
std::string_view name_of(ScheduleShape shape);
/// Throws BadInput listing those known.
ScheduleShape schedule_named(std::string_view name);

struct Schedule {
  ScheduleShape shape = ScheduleShape::kCosine;
  double peak = 1e-3;
  int64_t steps = 1;         ///< of the whole run
  int64_t warmup = 0;        ///< steps over which the rate climbs linearly; the first one has peak / warmup
  double final_share = 0.1;  ///< of the peak, at the last step; not for kConstant
  double decay_share = 0.1;  ///< of the steps, that kWsd decays over

  /// Of step 0, 1, ...; steps beyond the run have the last one's.
  double rate(int64_t step) const;
};

}  // namespace martlet::train
