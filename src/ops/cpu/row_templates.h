#pragma once

// The rows of row_kernels.h over sixteen lanes. Include one of floats_*.h and then float_math.h first.

#include <cstring>

#include "ops/cpu/row_kernels.h"

namespace martlet::ops::cpu {
namespace {

/// y = f(x), lane by lane; the last lanes go through the same code as all others.
template <typename Function>
void map(const float* x, float* y, int64_t count, Function f) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store(y + i, f(load(x + i)));
  if (i < count) store(y + i, f(load(x + i, count - i)), count - i);
}

template <typename Function>
void map(const float* a, const float* b, float* y, int64_t count, Function f) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store(y + i, f(load(a + i), load(b + i)));
  if (i < count) store(y + i, f(load(a + i, count - i), load(b + i, count - i)), count - i);
}

inline Floats one_where(Mask mask) {
  return select(mask, all(1.0f), all(0.0f));
}
/// NaN where either is.
inline Floats maximum(Floats a, Floats b) {
  return select(is_nan(a), a, larger(a, b));
}
inline Floats minimum(Floats a, Floats b) {
  return select(is_nan(a), a, smaller(a, b));
}

void unary_row(const UnaryCall& call, const float* x, float* y, int64_t count) {
  const Floats a = all(call.a);
  const Floats b = all(call.b);
  switch (call.function) {
    case Unary::kNegate:
      return map(x, y, count, [](Floats v) { return floats_of(bits_of(v) + all_ints(INT32_MIN)); });
    case Unary::kAbsolute:
      return map(x, y, count, [](Floats v) { return magnitude(v); });
    case Unary::kSquare:
      return map(x, y, count, [](Floats v) { return v * v; });
    case Unary::kReciprocal:
      return map(x, y, count, [](Floats v) { return all(1.0f) / v; });
    case Unary::kSquareRoot:
      return map(x, y, count, [](Floats v) { return square_root(v); });
    case Unary::kReciprocalSquareRoot:
      return map(x, y, count, [](Floats v) { return all(1.0f) / square_root(v); });
    case Unary::kExp:
      return map(x, y, count, [](Floats v) { return exp(v); });
    case Unary::kLog:
      return map(x, y, count, [](Floats v) { return log(v); });
    case Unary::kTanh:
      return map(x, y, count, [](Floats v) { return tanh(v); });
    case Unary::kErf:
      return map(x, y, count, [](Floats v) { return erf(v); });
    case Unary::kSigmoid:
      return map(x, y, count, [](Floats v) { return sigmoid(v); });
    case Unary::kSilu:
      return map(x, y, count, [](Floats v) { return gated_by(v, v); });
    case Unary::kGelu:
      return map(x, y, count, [](Floats v) { return gelu(v); });
    case Unary::kGeluTanh:
      return map(x, y, count, [](Floats v) { return gelu_tanh(v); });
    case Unary::kGeluQuick:
      return map(x, y, count, [](Floats v) { return gelu_quick(v); });
    case Unary::kRelu:
      return map(x, y, count, [](Floats v) { return maximum(v, all(0.0f)); });
    case Unary::kReluSquared:
      return map(x, y, count, [](Floats v) {
        const Floats positive = maximum(v, all(0.0f));
        return positive * positive;
      });
    case Unary::kScale:
      return map(x, y, count, [a](Floats v) { return v * a; });
    case Unary::kShift:
      return map(x, y, count, [a](Floats v) { return v + a; });
    case Unary::kSoftCap:
      return map(x, y, count, [a](Floats v) { return a * tanh(v / a); });
    case Unary::kClamp:
      return map(x, y, count, [a, b](Floats v) { return minimum(maximum(v, a), b); });
    case Unary::kPower:  // in double, by ops/unary.cc
      return;
  }
}

void binary_row(Binary function, const float* a, const float* b, float* y, int64_t count) {
  switch (function) {
    case Binary::kAdd:
      return map(a, b, y, count, [](Floats u, Floats v) { return u + v; });
    case Binary::kSubtract:
      return map(a, b, y, count, [](Floats u, Floats v) { return u - v; });
    case Binary::kMultiply:
      return map(a, b, y, count, [](Floats u, Floats v) { return u * v; });
    case Binary::kDivide:
      return map(a, b, y, count, [](Floats u, Floats v) { return u / v; });
    case Binary::kMinimum:
      return map(a, b, y, count, [](Floats u, Floats v) { return minimum(u, v); });
    case Binary::kMaximum:
      return map(a, b, y, count, [](Floats u, Floats v) { return maximum(u, v); });
    case Binary::kPower:  // in double, by ops/binary.cc
      return;
    case Binary::kEqual:
      return map(a, b, y, count, [](Floats u, Floats v) { return one_where(u == v); });
    case Binary::kNotEqual:
      return map(a, b, y, count, [](Floats u, Floats v) { return all(1.0f) - one_where(u == v); });
    case Binary::kLess:
      return map(a, b, y, count, [](Floats u, Floats v) { return one_where(u < v); });
    case Binary::kLessOrEqual:
      return map(a, b, y, count, [](Floats u, Floats v) { return one_where(u < v) + one_where(u == v); });
    case Binary::kGreater:
      return map(a, b, y, count, [](Floats u, Floats v) { return one_where(v < u); });
    case Binary::kGreaterOrEqual:
      return map(a, b, y, count, [](Floats u, Floats v) { return one_where(v < u) + one_where(u == v); });
  }
}

/// f(x) of a block summed: lane k mod 64, then the tree. f of the zeros behind the end must be masked by the
/// caller's `tail`, which gets the last vector and its count.
template <typename Function, typename Tail>
float sum_block(const float* x, int64_t count, Function f, Tail tail) {
  Floats sums[4] = {all(0.0f), all(0.0f), all(0.0f), all(0.0f)};
  int64_t i = 0;
  for (; i + 64 <= count; i += 64)
    for (int lane = 0; lane < 4; ++lane) sums[lane] = f(i + 16 * lane, load(x + i + 16 * lane), sums[lane]);
  int lane = 0;
  for (; i + 16 <= count; i += 16, ++lane) sums[lane] = f(i, load(x + i), sums[lane]);
  if (i < count) sums[lane] = tail(i, load(x + i, count - i), count - i, sums[lane]);
  return sum((sums[0] + sums[2]) + (sums[1] + sums[3]));
}

/// The first `count` lanes of a, zeros behind.
inline Floats only(Floats a, int64_t count) {
  float values[16];
  store(values, a);
  return load(values, count);
}

template <typename Block>
double sum_blocks(int64_t count, Block block) {
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kSumBlock)
    total += static_cast<double>(block(begin, count - begin < kSumBlock ? count - begin : kSumBlock));
  return total;
}

double sum_row(const float* x, int64_t count) {
  return sum_blocks(count, [&](int64_t begin, int64_t size) {
    return sum_block(
        x + begin, size, [](int64_t, Floats v, Floats total) { return total + v; },
        [](int64_t, Floats v, int64_t, Floats total) { return total + v; });
  });
}

double sum_of_squares_row(const float* x, float minus, int64_t count) {
  const Floats mean = all(minus);
  const auto add = [mean](Floats v, Floats total) {
    const Floats difference = v - mean;
    return multiply_add(difference, difference, total);
  };
  return sum_blocks(count, [&](int64_t begin, int64_t size) {
    return sum_block(
        x + begin, size, [&](int64_t, Floats v, Floats total) { return add(v, total); },
        [&](int64_t, Floats v, int64_t some, Floats total) {
          const Floats difference = only(v - mean, some);
          return multiply_add(difference, difference, total);
        });
  });
}

template <typename Better>
float extreme_row(const float* x, int64_t count, float nothing, Better better) {
  // Four at once hide the time that one comparison takes.
  Floats bests[4] = {all(nothing), all(nothing), all(nothing), all(nothing)};
  int64_t i = 0;
  for (; i + 64 <= count; i += 64)
    for (int lane = 0; lane < 4; ++lane) bests[lane] = better(bests[lane], load(x + i + 16 * lane));
  for (; i + 16 <= count; i += 16) bests[0] = better(bests[0], load(x + i));
  Floats best = better(better(bests[0], bests[1]), better(bests[2], bests[3]));
  // Lanes behind the end are filled with what has no effect.
  float last[16];
  store(last, all(nothing));
  for (int64_t k = 0; i + k < count; ++k) last[k] = x[i + k];
  best = better(best, load(last));
  store(last, best);
  for (int half = 8; half > 0; half /= 2) {
    float other[16] = {};
    for (int k = 0; k < half; ++k) other[k] = last[k + half];
    store(last, better(load(last), load(other)));
  }
  return last[0];
}

float largest_row(const float* x, int64_t count) {
  return extreme_row(x, count, -INFINITY, [](Floats a, Floats b) { return maximum(a, b); });
}
float smallest_row(const float* x, int64_t count) {
  return extreme_row(x, count, INFINITY, [](Floats a, Floats b) { return minimum(a, b); });
}

double exponentials_row(const float* x, float minus, float* y, int64_t count) {
  const Floats most = all(minus);
  return sum_blocks(count, [&](int64_t begin, int64_t size) {
    return sum_block(
        x + begin, size,
        [&](int64_t i, Floats v, Floats total) {
          const Floats power = exp(v - most);
          store(y + begin + i, power);
          return total + power;
        },
        [&](int64_t i, Floats v, int64_t some, Floats total) {
          const Floats power = exp(v - most);
          store(y + begin + i, power, some);
          return total + only(power, some);
        });
  });
}

void normalise_row(const float* x, float minus, float scale, const float* weight, const float* bias, float* y,
                   int64_t count) {
  const Floats mean = all(minus);
  const Floats factor = all(scale);
  if (weight == nullptr) return map(x, y, count, [&](Floats v) { return (v - mean) * factor; });
  if (bias == nullptr)
    return map(x, weight, y, count, [&](Floats v, Floats w) { return (v - mean) * factor * w; });
  int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    store(y + i, multiply_add((load(x + i) - mean) * factor, load(weight + i), load(bias + i)));
  const int64_t rest = count - i;
  if (rest > 0)
    store(y + i,
          multiply_add((load(x + i, rest) - mean) * factor, load(weight + i, rest), load(bias + i, rest)),
          rest);
}

/// The upper halves of f32, rounded to nearest even; NaN stays a quiet NaN.
inline Ints rounded_to_bf16(Floats a) {
  const Ints bits = bits_of(a);
  const Ints odd = shift_right<16>(bits) & all_ints(1);
  const Ints rounded = bits + all_ints(0x7fff) + odd;
  const Floats kept = select(is_nan(a), floats_of(bits | all_ints(0x400000)), floats_of(rounded));
  return shift_right<16>(bits_of(kept));
}

/// Sixteen at a time from 16-bit values to f32; the last ones through a buffer.
template <typename Load>
void widen(const void* from, float* to, int64_t count, Load load_sixteen) {
  const auto* halves = static_cast<const uint16_t*>(from);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store(to + i, load_sixteen(halves + i));
  if (i == count) return;
  uint16_t last[16] = {};
  std::memcpy(last, halves + i, static_cast<size_t>(count - i) * sizeof(uint16_t));
  store(to + i, load_sixteen(last), count - i);
}

template <typename Store>
void narrow(const float* from, void* to, int64_t count, Store store_sixteen) {
  auto* halves = static_cast<uint16_t*>(to);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store_sixteen(halves + i, load(from + i));
  if (i == count) return;
  uint16_t last[16];
  store_sixteen(last, load(from + i, count - i));
  std::memcpy(halves + i, last, static_cast<size_t>(count - i) * sizeof(uint16_t));
}

void add_scaled_row(const float* x, float factor, float* y, int64_t count) {
  const Floats factors = all(factor);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store(y + i, multiply_add(factors, load(x + i), load(y + i)));
  if (i == count) return;
  const int64_t left = count - i;
  store(y + i, multiply_add(factors, load(x + i, left), load(y + i, left)), left);
}

void widen_bf16_row(const void* from, float* to, int64_t count) {
  widen(from, to, count, [](const void* halves) { return floats_of(shift_left<16>(load_halves(halves))); });
}
void widen_f16_row(const void* from, float* to, int64_t count) {
  widen(from, to, count, [](const void* halves) { return load_f16(halves); });
}
void narrow_bf16_row(const float* from, void* to, int64_t count) {
  narrow(from, to, count, [](void* halves, Floats a) { store_halves(halves, rounded_to_bf16(a)); });
}
void narrow_f16_row(const float* from, void* to, int64_t count) {
  narrow(from, to, count, [](void* halves, Floats a) { store_f16(halves, a); });
}

constexpr RowKernels make_row_kernels(std::string_view name) {
  return {.name = name,
          .unary = unary_row,
          .binary = binary_row,
          .sum = sum_row,
          .sum_of_squares = sum_of_squares_row,
          .largest = largest_row,
          .smallest = smallest_row,
          .exponentials = exponentials_row,
          .normalise = normalise_row,
          .add_scaled = add_scaled_row,
          .widen_bf16 = widen_bf16_row,
          .widen_f16 = widen_f16_row,
          .narrow_bf16 = narrow_bf16_row,
          .narrow_f16 = narrow_f16_row};
}

}  // namespace
}  // namespace martlet::ops::cpu
