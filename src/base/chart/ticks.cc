#include "base/chart/ticks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

#include "base/human.h"

namespace martlet::chart {
namespace {

// A value this far beyond the range, in steps, still counts as on its edge.
constexpr double kSlack = 1e-6;
// Below this many decades, a logarithmic axis has too few powers of ten.
constexpr double kFewDecades = 2;
constexpr int kMostTicks = 50;

constexpr std::array<double, 18> kClockSteps{1,   2,   5,    10,   15,   30,    60,    120,   300,
                                             600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400};

/// The least of 1, 2, 5 times a power of ten that is not below `least`.
double round_step(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

double clock_step(double least) {
  if (least < 1) return round_step(least);
  for (const double step : kClockSteps)
    if (step >= least) return step;
  return 86400 * round_step(least / 86400);
}

double step_of(Unit unit, double least) {
  switch (unit) {
    case Unit::kNumber:
      return round_step(least);
    case Unit::kCount:
      return std::max(1.0, round_step(least));
    case Unit::kSeconds:
      return clock_step(least);
    case Unit::kBytes: {
      // Round in the unit that it is written in.
      double scale = 1;
      while (least >= 1024 * scale) scale *= 1024;
      return scale * round_step(least / scale);
    }
  }
  return round_step(least);
}

/// As many decimals as a step of this size changes.
int decimals_of(double step) {
  return std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
}

/// "20k", "2.5M": with as many decimals as the step needs.
std::string number_label(double value, double step, double largest) {
  constexpr std::array<std::pair<double, const char*>, 4> kScales{
      {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}}};
  if (value == 0) return "0";
  if (largest < 1e-3 || largest >= 1e15) return fmt::format("{:g}", value);
  if (largest >= 1e4)
    for (const auto& [scale, letter] : kScales)
      if (largest >= scale) return fmt::format("{:.{}f}{}", value / scale, decimals_of(step / scale), letter);
  return fmt::format("{:.{}f}", value, decimals_of(step));
}

std::string seconds_label(double value, double step) {
  if (value == 0) return "0";
  constexpr std::array<std::pair<double, const char*>, 3> kParts{{{86400, "d"}, {3600, "h"}, {60, "min"}}};
  for (const auto& [seconds, name] : kParts)
    if (step >= seconds) return fmt::format("{:g} {}", value / seconds, name);
  return fmt::format("{:.{}f} s", value, decimals_of(std::min(step, 1.0)));
}

std::string bytes_label(double value, double largest) {
  constexpr std::array<const char*, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  if (value == 0) return "0";
  size_t place = 0;
  double scale = 1;
  while (place + 1 < kNames.size() && largest >= 1024 * scale) {
    scale *= 1024;
    ++place;
  }
  return fmt::format("{:.4g} {}", value / scale, kNames[place]);
}

std::string label_of(Unit unit, double value, double step, double largest) {
  switch (unit) {
    case Unit::kNumber:
    case Unit::kCount:
      return number_label(value, step, largest);
    case Unit::kSeconds:
      return seconds_label(value, step);
    case Unit::kBytes:
      return bytes_label(value, largest);
  }
  return "";
}

std::vector<Tick> linear_ticks(Unit unit, Range range, int most) {
  std::vector<Tick> found;
  const double step = step_of(unit, (range.high - range.low) / most);
  const double first = std::ceil(range.low / step - kSlack);
  const double largest = std::max(std::abs(range.low), std::abs(range.high));
  for (int i = 0; i < kMostTicks; ++i) {
    const double value = (first + i) * step;
    if (value > range.high + kSlack * step) break;
    found.push_back({value, label_of(unit, value, step, largest)});
  }
  return found;
}

std::string decade_label(Unit unit, double value) {
  if (unit == Unit::kSeconds || unit == Unit::kBytes) return value_text(unit, value);
  if (value >= 1e4 && value < 1e15) return number_label(value, value, value);
  return fmt::format("{:g}", value);
}

std::vector<Tick> logarithmic_ticks(Unit unit, Range range, int most) {
  const double low = std::log10(range.low), high = std::log10(range.high);
  std::vector<Tick> found;
  const bool few = high - low < kFewDecades;
  const int stride = std::max(1, static_cast<int>(std::ceil((high - low) / most)));
  for (int power = static_cast<int>(std::floor(low)); power <= high; ++power) {
    if (!few && power % stride != 0) continue;
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor > 1 && !few) break;
      const double value = factor * std::pow(10, power);
      if (value >= range.low * (1 - kSlack) && value <= range.high * (1 + kSlack))
        found.push_back({value, decade_label(unit, value)});
    }
  }
  return found.size() < 2 ? linear_ticks(unit, range, most) : found;
}

}  // namespace

std::vector<Tick> ticks(const Axis& axis, Range range, int most) {
  if (most < 1 || !(range.high > range.low)) return {};
  return axis.scale == Scale::kLogarithmic ? logarithmic_ticks(axis.unit, range, most)
                                           : linear_ticks(axis.unit, range, most);
}

std::string value_text(Unit unit, double value) {
  if (!std::isfinite(value)) return "not finite";
  switch (unit) {
    case Unit::kNumber:
      return fmt::format("{:.4g}", value);
    case Unit::kCount:
      return format_integer(static_cast<int64_t>(std::llround(value)));
    case Unit::kSeconds:
      return format_duration(value);
    case Unit::kBytes:
      return format_bytes(static_cast<uint64_t>(std::max(0.0, value)));
  }
  return "";
}

}  // namespace martlet::chart
