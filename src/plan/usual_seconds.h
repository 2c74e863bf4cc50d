#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

namespace martlet::plan {

inline double median_of(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

template <typename Call>
double seconds_of(const Call& call) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  call();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The median time of one call, over calls that take `all` seconds together: memory is shared with others,
/// and its best moment is no forecast. The first call does not count.
template <typename Call>
double usual_seconds(double all, const Call& call) {
  call();
  std::vector<double> times;
  for (double spent = 0; spent < all || times.empty(); spent += times.back())
    times.push_back(seconds_of(call));
  return median_of(times);
}

/// Of two calls in turns, so that both see what the machine does at the time.
struct TwoTimes {
  double first = 0, second = 0;
};
template <typename First, typename Second>
TwoTimes usual_seconds(double all, const First& first, const Second& second) {
  first();
  second();
  std::vector<double> one, other;
  for (double spent = 0; spent < all || one.empty(); spent += one.back() + other.back()) {
    one.push_back(seconds_of(first));
    other.push_back(seconds_of(second));
  }
  return {median_of(one), median_of(other)};
}

}  // namespace martlet::plan
