// Packing the formats of 256 elements whose sub-blocks' scales (and minima) are whole numbers of a common
// step. The layouts stand with their unpacking (q4_k.cc, q6_k.cc); the search of one sub-block in fit.h.
//
// Problem: the best scale of each sub-block is not on the common grid, and the grid itself is free. So: fit
// every sub-block alone; put the greatest scale (and minimum) on the last steps of the grid; then in turn (1)
// for every sub-block try the steps around its own, elements rounded anew to each, and keep the best, and (2)
// fit the common step sizes to all elements by least squares. The best of all rounds is written: it is never
// worse than rounding the separate fits to the grid.

#include <algorithm>

#include "ops/packed/fit.h"
#include "ops/packed/pack.h"
#include "ops/packed/pack_bits.h"

namespace martlet::ops::packed {
namespace {

constexpr int kSuper = 256;
constexpr int kRounds = 4;

// ---- q4_k and q5_k: element = (d * scale) * q - (dmin * minimum)

constexpr int kSubBlocks = 8;
constexpr int kSub = 32;
constexpr int kTopStep = 63;

struct LineSteps {
  int scale = 0;
  int minimum = 0;
};

struct LineGrid {
  float d = 0;
  float dmin = 0;
  LineSteps sub[kSubBlocks] = {};
  float error = 0;
};

/// Importance of all elements on one scale, so that errors of sub-blocks add up.
struct Weights {
  float at[kSuper];
  explicit Weights(const float* importance) {
    float top = 0;
    if (importance != nullptr)
      for (int i = 0; i < kSuper; ++i) top = greater(top, importance[i]);
    for (int i = 0; i < kSuper; ++i) at[i] = top > 0 ? importance[i] / top : 1.0f;
  }
};

/// A sub-block and what its own weights were divided by.
template <int N>
struct Part {
  Block<N> block;
  float share;  // of its greatest weight in the whole block's
  Part(const float* x, const float* w) : block(x, w), share(greatest_of(w)) {}

 private:
  /// 0 where nothing counts: the sub-block is then packed as if all did, and weighs nothing beside others.
  static float greatest_of(const float* w) {
    float top = 0;
    for (int i = 0; i < N; ++i) top = greater(top, w[i]);
    return top;
  }
};

using LineParts = Part<kSub>;

int step_of(float value, float unit) {
  return unit > 0 ? static_cast<int>(level_of(value / unit, 0.0f, kTopStep)) : 0;
}

/// (1): the best steps of every sub-block for these units; `around` says where to look. Levels that leave the
/// upper end free may as well lie higher, over a lower minimum: there too.
LineGrid best_steps(const LineParts* parts, float top, float d, float dmin, const Line* around) {
  constexpr int kMostShifts = 2;
  LineGrid grid{.d = d, .dmin = dmin};
  for (int j = 0; j < kSubBlocks; ++j) {
    const Line& line = around[j];
    const int scale = step_of(line.scale, d);
    const int minimum = step_of(-line.minimum, dmin);
    float least = INFINITY;
    const auto attempt = [&](int s, int m) {
      if (s < 0 || s > kTopStep || m < 0 || m > kTopStep) return;
      const float error =
          line_error(parts[j].block, d * static_cast<float>(s), -(dmin * static_cast<float>(m)), top);
      if (!(error < least)) return;
      least = error;
      grid.sub[j] = {s, m};
    };
    for (int s = scale - 1; s <= scale + 1; ++s)
      for (int m = minimum - 1; m <= minimum + 1; ++m) attempt(s, m);
    const float highest = line.scale > 0 ? nearest((parts[j].block.most - line.minimum) / line.scale) : top;
    for (int shift = 1; shift <= kMostShifts && highest + static_cast<float>(shift) <= top; ++shift)
      attempt(scale, step_of(static_cast<float>(shift) * line.scale - line.minimum, dmin));
    grid.error += least * parts[j].share;
  }
  return grid;
}

/// (2): units by least squares for the levels and steps that a grid has.
void fit_units(const LineParts* parts, float top, LineGrid& grid) {
  double uu = 0, uv = 0, vv = 0, xu = 0, xv = 0;  // u = scale * q, v = minimum
  for (int j = 0; j < kSubBlocks; ++j) {
    const Block<kSub>& block = parts[j].block;
    const auto s = static_cast<float>(grid.sub[j].scale);
    const float scale = grid.d * s;
    const float minimum = grid.dmin * static_cast<float>(grid.sub[j].minimum);
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    Lanes uu_lanes, u_lanes, xu_lanes;
    for_fours<kSub>([&](int i, int half) {
      const Four x = four(block.x + i);
      const Four u = s * level_of((x + minimum) * inverse, 0.0f, top);
      const Four wu = four(block.w + i) * u;
      u_lanes.half(half) += wu;
      uu_lanes.half(half) += wu * u;
      xu_lanes.half(half) += wu * x;
    });
    const double share = parts[j].share;
    const double v = grid.sub[j].minimum;
    uu += share * uu_lanes.total();
    uv += share * v * u_lanes.total();
    vv += share * v * v * block.sum_w;
    xu += share * xu_lanes.total();
    xv += share * v * block.sum_wx;
  }
  const double determinant = uu * vv - uv * uv;
  double d = uu > 0 ? xu / uu : 0;
  double dmin = 0;
  if (determinant > 1e-9 * uu * vv) {
    d = (xu * vv - xv * uv) / determinant;
    dmin = (xu * uv - xv * uu) / determinant;
  }
  if (d > 0) grid.d = rounded_to_half(static_cast<float>(d));
  if (dmin >= 0) grid.dmin = rounded_to_half(static_cast<float>(dmin));
}

/// The unit, of those that put the greatest value on a whole step, of which all values come nearest to whole
/// multiples: what a grid that the values lie on already is found by.
float common_unit(const float* values, float greatest) {
  constexpr int kFewestSteps = 24;
  float best = 0;
  float least = INFINITY;
  for (int last = kTopStep; last >= kFewestSteps; --last) {
    const float unit = greatest / static_cast<float>(last);
    float error = 0;
    for (int j = 0; j < kSubBlocks; ++j) {
      const float steps = unit > 0 ? values[j] / unit : 0.0f;
      const float rest = steps - nearest(steps);
      error += rest * rest;
    }
    if (!(error < least)) continue;
    least = error;
    best = unit;
  }
  return best;
}

LineGrid best_line_grid(const LineParts* parts, float top) {
  Line lines[kSubBlocks];
  float scales[kSubBlocks], minima[kSubBlocks];
  float scale = 0, minimum = 0;
  for (int j = 0; j < kSubBlocks; ++j) {
    lines[j] = best_line(parts[j].block, top, true);
    scales[j] = lines[j].scale;
    minima[j] = -lines[j].minimum;
    scale = greater(scale, scales[j]);
    minimum = greater(minimum, minima[j]);
  }
  // A coarser or finer grid moves every sub-block's nearest step.
  const LineGrid starts[] = {
      {.d = common_unit(scales, scale), .dmin = common_unit(minima, minimum)},
      {.d = scale / 63, .dmin = minimum / 63},
      {.d = scale / 61, .dmin = minimum / 61},
  };
  LineGrid best{.error = INFINITY};
  for (LineGrid units : starts) {
    units.d = rounded_to_half(units.d);
    units.dmin = rounded_to_half(units.dmin);
    for (int round = 0; round < kRounds; ++round) {
      LineGrid grid = best_steps(parts, top, units.d, units.dmin, lines);
      if (grid.error < best.error) best = grid;
      units = grid;
      fit_units(parts, top, units);
      if (units.d == grid.d && units.dmin == grid.dmin) break;
    }
  }
  return best;
}

/// The levels of all elements.
void levels_of(const LineParts* parts, const LineGrid& grid, float top, int* q) {
  for (int j = 0; j < kSubBlocks; ++j) {
    const float scale = grid.d * static_cast<float>(grid.sub[j].scale);
    const float minimum = -(grid.dmin * static_cast<float>(grid.sub[j].minimum));
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    for (int i = 0; i < kSub; ++i)
      q[j * kSub + i] = static_cast<int>(level_of((parts[j].block.x[i] - minimum) * inverse, 0.0f, top));
  }
}

/// Twelve bytes: see `scale_and_minimum` in bits.h.
void put_steps(std::byte* out, const LineSteps* sub) {
  for (int j = 0; j < 4; ++j) {
    const LineSteps& low = sub[j];
    const LineSteps& high = sub[j + 4];
    put_byte(out, j, low.scale | high.scale >> 4 << 6);
    put_byte(out, j + 4, low.minimum | high.minimum >> 4 << 6);
    put_byte(out, j + 8, (high.scale & 15) | (high.minimum & 15) << 4);
  }
}

void put_sub_block_nibbles(std::byte* out, const int* q) {
  for (int pair = 0; pair < kSubBlocks / 2; ++pair)
    for (int i = 0; i < kSub; ++i)
      put_byte(out, pair * kSub + i,
               (q[2 * pair * kSub + i] & 15) | (q[(2 * pair + 1) * kSub + i] & 15) << 4);
}

/// Units, steps and levels of one block of q4_k (top 15) or q5_k (top 31).
void pack_lines(const float* x, const float* importance, float top, std::byte* out, int* q) {
  const Weights w(importance);
  const LineParts parts[kSubBlocks] = {{x, w.at},
                                       {x + 32, w.at + 32},
                                       {x + 64, w.at + 64},
                                       {x + 96, w.at + 96},
                                       {x + 128, w.at + 128},
                                       {x + 160, w.at + 160},
                                       {x + 192, w.at + 192},
                                       {x + 224, w.at + 224}};
  const LineGrid grid = best_line_grid(parts, top);
  levels_of(parts, grid, top, q);
  put_half(out, 0, grid.d);
  put_half(out, 2, grid.dmin);
  put_steps(out + 4, grid.sub);
}

// ---- q6_k: element = (d * scale) * (q - 32), scales from -128 to 127

constexpr int kScales = 16;
constexpr int kScaled = 16;
constexpr Trials kTrials6{20, 28, 40, 0.5f};
const EqualSteps kLevels6{-32, 31};
using ScaleParts = Part<kScaled>;

struct ScaleGrid {
  float d = 0;
  int sub[kScales] = {};
  float error = 0;
};

int signed_step_of(float value, float unit) {
  return unit != 0 ? static_cast<int>(level_of(value / unit, -128.0f, 127.0f)) : 0;
}

ScaleGrid best_scale_steps(const ScaleParts* parts, float d, const float* around) {
  ScaleGrid grid{.d = d};
  for (int j = 0; j < kScales; ++j) {
    const int middle = signed_step_of(around[j], d);
    float least = INFINITY;
    for (int s = std::max(-128, middle - 1); s <= std::min(127, middle + 1); ++s) {
      const float error = scale_error(parts[j].block, d * static_cast<float>(s), kLevels6);
      if (!(error < least)) continue;
      least = error;
      grid.sub[j] = s;
    }
    grid.error += least * parts[j].share;
  }
  return grid;
}

float fitted_unit(const ScaleParts* parts, const ScaleGrid& grid) {
  double xu = 0, uu = 0;
  for (int j = 0; j < kScales; ++j) {
    const auto s = static_cast<float>(grid.sub[j]);
    if (grid.d * s == 0) continue;
    const ScaleSums sums = scale_sums(parts[j].block, 1.0f / (grid.d * s), kLevels6);
    xu += double{parts[j].share} * double{s} * double{sums.wxq};
    uu += double{parts[j].share} * double{s} * double{s} * double{sums.wqq};
  }
  return uu > 0 ? rounded_to_half(static_cast<float>(xu / uu)) : grid.d;
}

ScaleGrid best_scale_grid(const ScaleParts* parts) {
  float scales[kScales];
  float greatest = 0;
  for (int j = 0; j < kScales; ++j) {
    scales[j] = best_scale(parts[j].block, kTrials6, kLevels6);
    if (std::fabs(scales[j]) > std::fabs(greatest)) greatest = scales[j];
  }
  ScaleGrid best{.error = INFINITY};
  // The greatest scale takes the end of the range, which has one step more on the negative side.
  for (const float last : {-128.0f, -125.0f, -120.0f}) {
    float d = rounded_to_half(greatest / last);
    for (int round = 0; round < kRounds; ++round) {
      const ScaleGrid grid = best_scale_steps(parts, d, scales);
      if (grid.error < best.error) best = grid;
      d = fitted_unit(parts, grid);
      if (d == grid.d) break;
    }
  }
  return best;
}

const float* next(const float* importance) {
  return importance == nullptr ? nullptr : importance + kSuper;
}

}  // namespace

void pack_q4_k(const float* x, const float* importance, int64_t blocks, std::byte* out) {
  int q[kSuper];
  for (; blocks > 0; --blocks, x += kSuper, importance = next(importance), out += 144) {
    pack_lines(x, importance, 15, out, q);
    put_sub_block_nibbles(out + 16, q);
  }
}

void pack_q5_k(const float* x, const float* importance, int64_t blocks, std::byte* out) {
  int q[kSuper];
  for (; blocks > 0; --blocks, x += kSuper, importance = next(importance), out += 176) {
    pack_lines(x, importance, 31, out, q);
    for (int i = 0; i < kSub; ++i) {
      int fifth = 0;
      for (int j = 0; j < kSubBlocks; ++j) fifth |= (q[j * kSub + i] >> 4 & 1) << j;
      put_byte(out, 16 + i, fifth);
    }
    put_sub_block_nibbles(out + 48, q);
  }
}

void pack_q6_k(const float* x, const float* importance, int64_t blocks, std::byte* out) {
  for (; blocks > 0; --blocks, x += kSuper, importance = next(importance), out += 210) {
    const Weights w(importance);
    const auto part = [&](int j) { return ScaleParts(x + j * kScaled, w.at + j * kScaled); };
    const ScaleParts parts[kScales] = {part(0),  part(1),  part(2),  part(3), part(4),  part(5),
                                       part(6),  part(7),  part(8),  part(9), part(10), part(11),
                                       part(12), part(13), part(14), part(15)};
    const ScaleGrid grid = best_scale_grid(parts);
    std::fill(out, out + 192, std::byte{0});
    for (int i = 0; i < kSuper; ++i) {
      const float scale = grid.d * static_cast<float>(grid.sub[i / kScaled]);
      const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
      const int q = static_cast<int>(kLevels6(x[i] * inverse)) + 32;
      const int in_half = i % 128;
      const int low = i / 128 * 64 + in_half % 64;
      const int high = 128 + i / 128 * 32 + i % 32;
      out[low] |= static_cast<std::byte>((q & 15) << (in_half < 64 ? 0 : 4));
      out[high] |= static_cast<std::byte>((q >> 4) << (in_half / 32 * 2));
    }
    for (int j = 0; j < kScales; ++j) put_byte(out, 192 + j, grid.sub[j]);
    put_half(out, 208, grid.d);
  }
}

}  // namespace martlet::ops::packed
