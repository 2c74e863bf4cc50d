#include "train/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace martlet::train {
namespace {

constexpr std::array<std::string_view, 4> kNames{"constant", "cosine", "linear", "wsd"};

}  // namespace

std::string_view name_of(ScheduleShape shape) {
  return kNames[static_cast<size_t>(shape)];
}

ScheduleShape schedule_named(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<ScheduleShape>(i);
  bad_input("there is no schedule '{}'; known are constant, cosine, linear and wsd", name);
}

double Schedule::rate(int64_t step) const {
  if (step < warmup) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup);
  if (shape == ScheduleShape::kConstant) return peak;
  const int64_t last = std::max<int64_t>(steps - 1, 0);
  int64_t begin = warmup;
  if (shape == ScheduleShape::kWsd)
    begin =
        std::max(warmup, last - static_cast<int64_t>(std::llround(decay_share * static_cast<double>(steps))));
  if (step <= begin || last <= begin) return step >= last && last > begin ? peak * final_share : peak;
  const double done = std::min(1.0, static_cast<double>(step - begin) / static_cast<double>(last - begin));
  const double height =
      shape == ScheduleShape::kCosine ? 0.5 * (1 + std::cos(std::numbers::pi * done)) : 1 - done;
  return peak * (final_share + (1 - final_share) * height);
}

}  // namespace martlet::train
