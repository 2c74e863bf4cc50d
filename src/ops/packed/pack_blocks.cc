// Packing the formats whose blocks of 32 have one scale, and perhaps a minimum. The layouts stand with their
// unpacking (q4.cc, q5.cc, q8.cc, iq4.cc); the searches in fit.h.

#include "ops/packed/fit.h"
#include "ops/packed/iq4_levels.h"
#include "ops/packed/pack.h"
#include "ops/packed/pack_bits.h"

namespace martlet::ops::packed {
namespace {

constexpr int kBlock = 32;
using Block32 = Block<kBlock>;

// Scales that put the greatest element on levels from a little below the last one to far beyond it: with
// heavy tails the best clips a lot.
constexpr Trials kTrials4{1, 4.5f, 12, 0.25f};
constexpr Trials kTrials5{1, 13, 22, 0.5f};
// A step of 127 levels is too fine for clipping to pay much.
constexpr Trials kTrials8{120, 127.0f, 130, 0.25f};
constexpr Trials kTrialsIq4{69, 84, 164, 4};

const EqualSteps kLevels4{-8, 7};
const EqualSteps kLevels5{-16, 15};
const EqualSteps kLevels8{-127, 127};

/// The nearest of the sixteen levels: one step up for every middle between two that lies below.
struct Iq4Level {
  template <typename Number>
  Number operator()(Number scaled) const {
    Number level = Number{} + kIq4Levels[0];
    for (int i = 1; i < 16; ++i) {
      const float middle = 0.5f * (kIq4Levels[i - 1] + kIq4Levels[i]);
      level += scaled > middle ? Number{} + (kIq4Levels[i] - kIq4Levels[i - 1]) : Number{};
    }
    return level;
  }
};

/// The level of every element on the scale, `plus` added.
template <typename Level>
void levels_of(const Block32& block, float scale, const Level& level, int plus, int* q) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  for (int i = 0; i < kBlock; ++i) q[i] = static_cast<int>(level(block.x[i] * inverse)) + plus;
}

template <typename Level>
float scale_of(const Block32& block, const Trials& trials, const Level& level) {
  return best_half_scale(block, best_scale(block, trials, level), level);
}

/// A line whose scale and minimum are binary16: the fit for each rounding of the minimum, and again.
Line half_line(const Block32& block, float top) {
  Line line = best_line(block, top, false);
  Line best{rounded_to_half(line.scale), rounded_to_half(line.minimum), 0};
  best.error = line_error(block, best.scale, best.minimum, top);
  constexpr int kMostRounds = 4;
  for (int round = 0; round < kMostRounds; ++round) {
    const Line start = best;
    const uint16_t scale = to_f16(start.scale).bits;
    const uint16_t minimum = to_f16(start.minimum).bits;
    for (int i = -1; i <= 1; ++i)
      for (int j = -1; j <= 1; ++j) {
        const float s = to_float(F16{static_cast<uint16_t>(scale + i)});
        const float m = to_float(F16{static_cast<uint16_t>(minimum + j)});
        if (!std::isfinite(s) || !std::isfinite(m) || s < 0) continue;
        const float error = line_error(block, s, m, top);
        if (error < best.error) best = {s, m, error};
      }
    if (!(best.error < start.error)) break;
  }
  return best;
}

void levels_of(const Block32& block, const Line& line, float top, int* q) {
  const float inverse = line.scale > 0 ? 1.0f / line.scale : 0.0f;
  for (int i = 0; i < kBlock; ++i)
    q[i] = static_cast<int>(level_of((block.x[i] - line.minimum) * inverse, 0.0f, top));
}

const float* next(const float* importance) {
  return importance == nullptr ? nullptr : importance + kBlock;
}

}  // namespace

void pack_q4_0(const float* x, const float* importance, int64_t blocks, std::byte* out) {
  int q[kBlock];
  for (; blocks > 0; --blocks, x += kBlock, importance = next(importance), out += 18) {
    const Block32 block(x, importance);
    const float scale = scale_of(block, kTrials4, kLevels4);
    levels_of(block, scale, kLevels4, 8, q);
    put_half(out, 0, scale);
    put_nibbles(out, 2, q);
  }
}

void pack_q4_1(const float* x, const float* importance, int64_t blocks, std::byte* out) {
  int q[kBlock];
  for (; blocks > 0; --blocks, x += kBlock, importance = next(importance), out += 20) {
    const Block32 block(x, importance);
    const Line line = half_line(block, 15);
    levels_of(block, line, 15, q);
    put_half(out, 0, line.scale);
    put_half(out, 2, line.minimum);
    put_nibbles(out, 4, q);
  }
}

void pack_q5_0(const float* x, const float* importance, int64_t blocks, std::byte* out) {
  int q[kBlock];
  for (; blocks > 0; --blocks, x += kBlock, importance = next(importance), out += 22) {
    const Block32 block(x, importance);
    const float scale = scale_of(block, kTrials5, kLevels5);
    levels_of(block, scale, kLevels5, 16, q);
    put_half(out, 0, scale);
    put_fifth_bits(out, 2, q);
    put_nibbles(out, 6, q);
  }
}

void pack_q5_1(const float* x, const float* importance, int64_t blocks, std::byte* out) {
  int q[kBlock];
  for (; blocks > 0; --blocks, x += kBlock, importance = next(importance), out += 24) {
    const Block32 block(x, importance);
    const Line line = half_line(block, 31);
    levels_of(block, line, 31, q);
    put_half(out, 0, line.scale);
    put_half(out, 2, line.minimum);
    put_fifth_bits(out, 4, q);
    put_nibbles(out, 8, q);
  }
}

void pack_q8_0(const float* x, const float* importance, int64_t blocks, std::byte* out) {
  int q[kBlock];
  for (; blocks > 0; --blocks, x += kBlock, importance = next(importance), out += 34) {
    const Block32 block(x, importance);
    const float scale = std::fabs(scale_of(block, kTrials8, kLevels8));
    levels_of(block, scale, kLevels8, 0, q);
    put_half(out, 0, scale);
    for (int i = 0; i < kBlock; ++i) put_byte(out, 2 + i, q[i]);
  }
}

void pack_iq4_nl(const float* x, const float* importance, int64_t blocks, std::byte* out) {
  int q[kBlock];
  for (; blocks > 0; --blocks, x += kBlock, importance = next(importance), out += 18) {
    const Block32 block(x, importance);
    const Iq4Level level;
    const float scale = scale_of(block, kTrialsIq4, level);
    levels_of(block, scale, level, 0, q);
    for (int& value : q) {
      int index = 0;
      while (static_cast<int>(kIq4Levels[index]) != value) ++index;
      value = index;
    }
    put_half(out, 0, scale);
    put_nibbles(out, 2, q);
  }
}

}  // namespace martlet::ops::packed
