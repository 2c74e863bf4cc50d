#pragma once

// Searches that packers share: scales (and minima) of one block for which rounding costs least.
//
// Problem: choose a scale s (and a minimum m) so that sum w (x - s q - m)^2 is small, where q is x on the
// grid, rounded and clamped to the levels that there are. For fixed q the best s and m are a weighted
// least-squares fit; for fixed s and m the best q is rounding. The error as a function of s has many local
// minima (each x has a jump wherever it changes its level), so: try scales over the whole range that can pay,
// heavy clipping included, keep the best, then alternate fit and rounding until nothing gets better (Lloyd's
// iteration, 1957, published 1982). Blocks whose values lie on a grid already are met by the trials of whole
// steps and come out as they were.
//
// Cost: some 70 trials of a few instructions an element. Sums have eight partial sums in one order, so that
// the result depends on the block alone.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "tensor/dtype.h"

namespace martlet::ops::packed {

inline constexpr float kGreatestHalf = 65504.0f;

// Unlike std::fmin and std::fmax, which have rules for NaN, these are one instruction and vectors of it.
inline float smaller(float a, float b) {
  return a < b ? a : b;
}
inline float greater(float a, float b) {
  return a > b ? a : b;
}

inline float rounded_to_half(float value) {
  return to_float(to_f16(smaller(greater(value, -kGreatestHalf), kGreatestHalf)));
}

/// Four numbers at once, in the compilers' own notation: the same on every machine.
using Four = float __attribute__((vector_size(16)));

inline Four smaller(Four a, Four b) {
  return a < b ? a : b;
}
inline Four greater(Four a, Four b) {
  return a > b ? a : b;
}
inline Four four(const float* from) {
  Four values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

/// To the nearest whole number, ties to even; |value| below 2^22.
template <typename Number>
Number nearest(Number value) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: its neighbours are whole numbers
  return value + kShift - kShift;
}

/// The nearest level of equal steps. Clamped first, so that nearest's bound holds whatever comes.
inline float level_of(float scaled, float low, float high) {
  return nearest(smaller(greater(scaled, low), high));
}
inline Four level_of(Four scaled, float low, float high) {
  return nearest(smaller(greater(scaled, Four{low, low, low, low}), Four{high, high, high, high}));
}

/// Eight partial sums and their total in a fixed order.
struct Lanes {
  Four low = {};
  Four high = {};
  Four& half(int which) { return which == 0 ? low : high; }
  float total() const {
    const Four sum = low + high;
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
  }
};

/// Calls `body(i, half)` for elements i to i + 3, whose sums go to that half of the lanes.
template <int N, typename Body>
inline void for_fours(const Body& body) {
  for (int i = 0; i < N; i += 8) {
    body(i, 0);
    body(i + 4, 1);
  }
}

/// The elements of one block (or sub-block) and their weights, of which the greatest is 1.
template <int N>
struct Block {
  alignas(64) float x[N];
  alignas(64) float w[N];
  float greatest = 0;  ///< of |x|
  float least = 0;     ///< of x
  float most = 0;      ///< of x
  float sum_w = 0;
  float sum_wx = 0;
  float sum_wxx = 0;

  /// `importance` may be null. Weights that are all zero count as all alike.
  Block(const float* values, const float* importance) {
    float top = 0;
    if (importance != nullptr)
      for (int i = 0; i < N; ++i) top = greater(top, importance[i]);
    least = most = values[0];
    Lanes ww, wx, wxx;
    for (int i = 0; i < N; ++i) {
      x[i] = values[i];
      w[i] = top > 0 ? importance[i] / top : 1.0f;
      greatest = greater(greatest, std::fabs(x[i]));
      least = smaller(least, x[i]);
      most = greater(most, x[i]);
    }
    for_fours<N>([&](int i, int half) {
      const Four wx_now = four(w + i) * four(x + i);
      ww.half(half) += four(w + i);
      wx.half(half) += wx_now;
      wxx.half(half) += wx_now * four(x + i);
    });
    sum_w = ww.total();
    sum_wx = wx.total();
    sum_wxx = wxx.total();
  }
};

/// Levels low..high in equal steps.
struct EqualSteps {
  float low;
  float high;
  template <typename Number>
  Number operator()(Number scaled) const {
    return level_of(scaled, low, high);
  }
};

/// sum w x q and sum w q^2 for q = level(x * inverse).
struct ScaleSums {
  float wxq = 0;
  float wqq = 0;
  /// What a scale of wxq / wqq takes off sum w x^2.
  float gain() const { return wqq > 0 ? wxq / wqq * wxq : 0.0f; }
};
template <int N, typename Level>
ScaleSums scale_sums(const Block<N>& block, float inverse, const Level& level) {
  Lanes wxq, wqq;
  for_fours<N>([&](int i, int half) {
    const Four x = four(block.x + i);
    const Four q = level(x * inverse);
    const Four wq = four(block.w + i) * q;
    wxq.half(half) += wq * x;
    wqq.half(half) += wq * q;
  });
  return {wxq.total(), wqq.total()};
}

/// sum w (x - scale level(x / scale))^2.
template <int N, typename Level>
float scale_error(const Block<N>& block, float scale, const Level& level) {
  if (scale == 0) return block.sum_wxx;
  const float inverse = 1.0f / scale;
  Lanes error;
  for_fours<N>([&](int i, int half) {
    const Four x = four(block.x + i);
    const Four rest = x - scale * level(x * inverse);
    error.half(half) += four(block.w + i) * rest * rest;
  });
  return error.total();
}

/// The inverse scales to try, as levels that the greatest |x| is put on: whole ones up from `whole`, then
/// `from` to `to` by `step`.
struct Trials {
  float whole;
  float from;
  float to;
  float step;
};

/// The scale, of either sign, for x ~ scale * level. 0 where all x are.
template <int N, typename Level>
float best_scale(const Block<N>& block, const Trials& trials, const Level& level) {
  if (!(block.greatest > 0)) return 0;
  ScaleSums best;
  const auto attempt = [&](float on) {
    for (const float inverse : {on / block.greatest, -on / block.greatest}) {
      if (!std::isfinite(inverse)) continue;
      const ScaleSums sums = scale_sums(block, inverse, level);
      if (sums.gain() > best.gain()) best = sums;
    }
  };
  for (float on = trials.whole; on < trials.from; on += 1.0f) attempt(on);
  for (float on = trials.from; on <= trials.to; on += trials.step) attempt(on);
  constexpr int kMostRounds = 8;
  for (int round = 0; round < kMostRounds && best.wqq > 0 && best.wxq != 0; ++round) {
    const ScaleSums sums = scale_sums(block, best.wqq / best.wxq, level);
    if (!(sums.gain() > best.gain())) break;
    best = sums;
  }
  return best.wqq > 0 ? best.wxq / best.wqq : 0.0f;
}

/// The binary16 near `scale` that costs least, the block being rounded anew to each.
template <int N, typename Level>
float best_half_scale(const Block<N>& block, float scale, const Level& level) {
  const uint16_t middle = to_f16(smaller(greater(scale, -kGreatestHalf), kGreatestHalf)).bits;
  float best = to_float(F16{middle});
  float least = scale_error(block, best, level);
  for (const int step : {-1, 1}) {
    const float other = to_float(F16{static_cast<uint16_t>(middle + step)});
    if (!std::isfinite(other) || (other < 0) != (scale < 0)) continue;
    const float error = scale_error(block, other, level);
    if (error < least) {
      least = error;
      best = other;
    }
  }
  return best;
}

/// x ~ scale * q + minimum, q from 0 to `top`, scale >= 0.
struct Line {
  float scale = 0;
  float minimum = 0;
  float error = 0;
};

/// The best line through the levels that `scale` and `minimum` give; with `at_most_zero` its minimum is.
template <int N>
Line fitted_line(const Block<N>& block, float scale, float minimum, float top, bool at_most_zero) {
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  Lanes wq_lanes, wqq_lanes, wxq_lanes;
  for_fours<N>([&](int i, int half) {
    const Four x = four(block.x + i);
    const Four q = level_of((x - minimum) * inverse, 0.0f, top);
    const Four wq_now = four(block.w + i) * q;
    wq_lanes.half(half) += wq_now;
    wqq_lanes.half(half) += wq_now * q;
    wxq_lanes.half(half) += wq_now * x;
  });
  const double wq = wq_lanes.total(), wqq = wqq_lanes.total(), wxq = wxq_lanes.total();
  const double w = block.sum_w, wx = block.sum_wx, wxx = block.sum_wxx;
  const double determinant = w * wqq - wq * wq;
  double slope = 0, offset = wx / w;
  if (determinant > 1e-9 * w * wqq) {
    slope = (w * wxq - wx * wq) / determinant;
    offset = (wqq * wx - wq * wxq) / determinant;
  }
  if (at_most_zero && offset > 0) {
    offset = 0;
    slope = wqq > 0 ? wxq / wqq : 0;
  }
  if (slope < 0) {
    slope = 0;
    offset = at_most_zero ? std::min(0.0, wx / w) : wx / w;
  }
  // Of the line with these very levels: what rounding to it gives is no worse.
  const double error = wxx - 2 * (slope * wxq + offset * wx) + slope * slope * wqq + 2 * slope * offset * wq +
                       offset * offset * w;
  return {static_cast<float>(slope), static_cast<float>(offset), static_cast<float>(error)};
}

/// sum w (x - (scale q + minimum))^2 with q rounded to the line.
template <int N>
float line_error(const Block<N>& block, float scale, float minimum, float top) {
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  Lanes error;
  for_fours<N>([&](int i, int half) {
    const Four x = four(block.x + i);
    const Four rest = x - (scale * level_of((x - minimum) * inverse, 0.0f, top) + minimum);
    error.half(half) += four(block.w + i) * rest * rest;
  });
  return error.total();
}

template <int N>
Line best_line(const Block<N>& block, float top, bool at_most_zero) {
  Line best{0, at_most_zero ? smaller(0.0f, block.sum_wx / block.sum_w) : block.sum_wx / block.sum_w, 0};
  best.error = line_error(block, best.scale, best.minimum, top);
  const float origin = at_most_zero ? smaller(0.0f, block.least) : block.least;
  const float range = block.most - origin;
  if (!(range > 0) || !std::isfinite(range)) return best;
  // The fit's own error is a difference of large sums. What is within its rounding of the best is measured
  // directly, so that values on a grid find that grid, and of several grids the coarsest, which comes first.
  const float noise = 1e-6f * block.sum_wxx;
  const float nothing = 1e-11f * block.sum_wxx;  // what rounding leaves of an error of zero
  const auto attempt = [&](float scale, float minimum) {
    Line line = fitted_line(block, scale, minimum, top, at_most_zero);
    if (!(line.error < best.error + noise)) return;
    line.error = line_error(block, line.scale, line.minimum, top);
    if (line.error + nothing < best.error) best = line;
  };
  for (float steps = 1; steps < top; steps += 1.0f) attempt(range / steps, origin);
  // Steps finer than the range needs clip its ends: the upper one, both, the lower one.
  for (float steps = top - 0.5f; steps <= top * 1.5f; steps += top / 64.0f) {
    const float scale = range / steps;
    const float spare = range - top * scale;
    for (const float share : {0.0f, 0.5f, 1.0f}) attempt(scale, origin + share * spare);
  }
  constexpr int kMostRounds = 8;
  for (int round = 0; round < kMostRounds; ++round) {
    Line line = fitted_line(block, best.scale, best.minimum, top, at_most_zero);
    line.error = line_error(block, line.scale, line.minimum, top);
    if (!(line.error + nothing < best.error)) break;
    best = line;
  }
  return best;
}

}  // namespace martlet::ops::packed
