#pragma once

// The rows of gradient_kernels.h over sixteen lanes. Include one of floats_*.h and then float_math.h first.

#include "ops/cpu/gradient_kernels.h"
#include "ops/cpu/row_kernels.h"

namespace martlet::ops::cpu {
namespace {

/// Sixteen elements at a time, `body(i, count)` with a count below 16 for the last ones.
template <typename Body>
void by_sixteen(int64_t count, Body body) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) body(i, int64_t{16});
  if (i < count) body(i, count - i);
}
inline Floats take(const float* from, int64_t i, int64_t count) {
  return count == 16 ? load(from + i) : load(from + i, count);
}
inline void put(float* to, int64_t i, int64_t count, Floats a) {
  count == 16 ? store(to + i, a) : store(to + i, a, count);
}

/// The sum of term(i, count) in the order of row_kernels.h. Lanes behind the end must be zero.
template <typename Term>
double sum_terms(int64_t count, Term term) {
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kSumBlock) {
    const int64_t end = count - begin < kSumBlock ? count : begin + kSumBlock;
    Floats sums[4] = {all(0.0f), all(0.0f), all(0.0f), all(0.0f)};
    int64_t i = begin;
    for (; i + 64 <= end; i += 64)
      for (int lane = 0; lane < 4; ++lane) sums[lane] = term(i + 16 * lane, int64_t{16}, sums[lane]);
    int lane = 0;
    for (; i + 16 <= end; i += 16, ++lane) sums[lane] = term(i, int64_t{16}, sums[lane]);
    if (i < end) sums[lane] = term(i, end - i, sums[lane]);
    total += static_cast<double>(sum((sums[0] + sums[2]) + (sums[1] + sums[3])));
  }
  return total;
}

/// dx = slope(x) * dy, lane by lane.
template <typename Slope>
void map_slope(const float* x, const float* dy, float* dx, int64_t count, Slope slope) {
  by_sixteen(count,
             [&](int64_t i, int64_t some) { put(dx, i, some, slope(take(x, i, some)) * take(dy, i, some)); });
}

inline Floats one_if(Mask mask) {
  return select(mask, all(1.0f), all(0.0f));
}

/// Of x s(a x), s the sigmoid, given s and a x: s (1 + a x (1 - s)).
inline Floats sigmoid_gate_slope(Floats s, Floats ax) {
  return s * multiply_add(ax, all(1.0f) - s, all(1.0f));
}

/// The standard normal distribution function, its lower tail without cancellation.
inline Floats normal_below(Floats x) {
  const Floats tail = normal_tail(magnitude(x));
  return select(x < all(0.0f), tail, all(1.0f) - tail);
}

/// Value and slope of an activation f(x), which share most of their work.
struct Activated {
  Floats value, slope;
};
inline Activated silu_with_slope(Floats x) {
  const Floats s = sigmoid(x);
  return {x * s, sigmoid_gate_slope(s, x)};
}
inline Activated gelu_with_slope(Floats x) {
  const Floats below = normal_below(x);
  const Floats density = all(0.398942280f) * exp(all(-0.5f) * x * x);
  return {x * below, multiply_add(x, density, below)};
}
/// x s(u), u = x (a + b x^2): s + x s (1 - s) u', u' = a + 3 b x^2.
inline Activated gelu_tanh_with_slope(Floats x) {
  const Floats square = x * x;
  const Floats s = sigmoid(x * multiply_add(square, all(0.0713548163f), all(1.59576912f)));
  const Floats inner = multiply_add(square, all(0.214064449f), all(1.59576912f));
  return {x * s, s * multiply_add(x * inner, all(1.0f) - s, all(1.0f))};
}
inline Activated gelu_quick_with_slope(Floats x) {
  const Floats scaled = x * all(1.702f);
  const Floats s = sigmoid(scaled);
  return {x * s, sigmoid_gate_slope(s, scaled)};
}
inline Activated relu_with_slope(Floats x) {
  const Mask positive = all(0.0f) < x;
  return {select(positive, x, all(0.0f)), one_if(positive)};
}
inline Activated relu_squared_with_slope(Floats x) {
  const Floats positive = relu_with_slope(x).value;
  return {positive * positive, positive + positive};
}
inline Activated tanh_with_slope(Floats x) {
  const Floats t = tanh(x);
  return {t, (all(1.0f) - t) * (all(1.0f) + t)};
}
inline Activated sigmoid_with_slope(Floats x) {
  const Floats s = sigmoid(x);
  return {s, s * (all(1.0f) - s)};
}

/// Calls `work` with the function that gives value and slope; false where there is none.
template <typename Work>
bool with_activation(Unary function, Work work) {
  switch (function) {
    case Unary::kSilu:
      return work(silu_with_slope), true;
    case Unary::kGelu:
      return work(gelu_with_slope), true;
    case Unary::kGeluTanh:
      return work(gelu_tanh_with_slope), true;
    case Unary::kGeluQuick:
      return work(gelu_quick_with_slope), true;
    case Unary::kRelu:
      return work(relu_with_slope), true;
    case Unary::kReluSquared:
      return work(relu_squared_with_slope), true;
    case Unary::kTanh:
      return work(tanh_with_slope), true;
    case Unary::kSigmoid:
      return work(sigmoid_with_slope), true;
    default:
      return false;
  }
}

void unary_gradient_row(const UnaryCall& call, const float* x, const float* dy, float* dx, int64_t count) {
  const Floats a = all(call.a);
  const Floats b = all(call.b);
  const auto by = [&](auto slope) { map_slope(x, dy, dx, count, slope); };
  if (with_activation(call.function,
                      [&](auto function) { by([function](Floats v) { return function(v).slope; }); }))
    return;
  switch (call.function) {
    case Unary::kNegate:
      return by([](Floats) { return all(-1.0f); });
    case Unary::kAbsolute:
      return by([](Floats v) { return one_if(all(0.0f) < v) - one_if(v < all(0.0f)); });
    case Unary::kSquare:
      return by([](Floats v) { return v + v; });
    case Unary::kReciprocal:
      return by([](Floats v) { return all(-1.0f) / (v * v); });
    case Unary::kSquareRoot:
      return by([](Floats v) { return all(0.5f) / square_root(v); });
    case Unary::kReciprocalSquareRoot:
      return by([](Floats v) { return all(-0.5f) / (v * square_root(v)); });
    case Unary::kExp:
      return by([](Floats v) { return exp(v); });
    case Unary::kLog:
      return by([](Floats v) { return all(1.0f) / v; });
    case Unary::kErf:
      return by([](Floats v) { return all(1.12837917f) * exp(all(0.0f) - v * v); });
    case Unary::kScale:
      return by([a](Floats) { return a; });
    case Unary::kSoftCap:
      return by([a](Floats v) { return tanh_with_slope(v / a).slope; });
    case Unary::kClamp:
      return by([a, b](Floats v) { return select(v < a, all(0.0f), one_if(v < b) + one_if(v == b)); });
    default:  // kShift has slope 1; kPower is computed in double, by ops/unary_backward.cc
      return by([](Floats) { return all(1.0f); });
  }
}

void gate_gradient_row(Unary activation, const float* gate, const float* up, const float* dy, float* dgate,
                       float* dup, int64_t count) {
  with_activation(activation, [&](auto function) {
    by_sixteen(count, [&](int64_t i, int64_t some) {
      const Activated active = function(take(gate, i, some));
      const Floats gradient = take(dy, i, some);
      put(dgate, i, some, gradient * take(up, i, some) * active.slope);
      put(dup, i, some, gradient * active.value);
    });
  });
}

void softmax_gradient_row(const float* y, const float* dy, float minus, float* dx, int64_t count) {
  const Floats common = all(minus);
  by_sixteen(count, [&](int64_t i, int64_t some) {
    put(dx, i, some, take(y, i, some) * (take(dy, i, some) - common));
  });
}

void log_softmax_gradient_row(const float* y, const float* dy, float factor, float* dx, int64_t count) {
  const Floats common = all(factor);
  by_sixteen(count, [&](int64_t i, int64_t some) {
    put(dx, i, some, take(dy, i, some) - exp(take(y, i, some)) * common);
  });
}

double dot_row(const float* a, const float* b, int64_t count) {
  return sum_terms(count, [&](int64_t i, int64_t some, Floats total) {
    return multiply_add(take(a, i, some), take(b, i, some), total);
  });
}

inline Floats normalised(const NormRow& row, int64_t i, int64_t some) {
  return (take(row.x, i, some) - all(row.mean)) * all(row.scale);
}
inline Floats weighted(const NormRow& row, int64_t i, int64_t some) {
  const Floats dy = take(row.dy, i, some);
  return row.weight == nullptr ? dy : dy * take(row.weight, i, some);
}

double norm_sum_row(const NormRow& row) {
  return sum_terms(row.count,
                   [&](int64_t i, int64_t some, Floats total) { return total + weighted(row, i, some); });
}

double norm_dot_row(const NormRow& row) {
  return sum_terms(row.count, [&](int64_t i, int64_t some, Floats total) {
    return multiply_add(weighted(row, i, some), normalised(row, i, some), total);
  });
}

void norm_gradient_row(const NormRow& row, float mean_of_g, float mean_of_gh, float* dx) {
  by_sixteen(row.count, [&](int64_t i, int64_t some) {
    const Floats rest = weighted(row, i, some) - all(mean_of_g);
    put(dx, i, some, all(row.scale) * (rest - normalised(row, i, some) * all(mean_of_gh)));
  });
}

void norm_parameters_row(const NormRow& row, float* dweight, float* dbias) {
  by_sixteen(row.count, [&](int64_t i, int64_t some) {
    const Floats dy = take(row.dy, i, some);
    put(dweight, i, some, multiply_add(dy, normalised(row, i, some), take(dweight, i, some)));
    if (dbias != nullptr) put(dbias, i, some, take(dbias, i, some) + dy);
  });
}

constexpr GradientKernels make_gradient_kernels() {
  return {.unary = unary_gradient_row,
          .gate = gate_gradient_row,
          .softmax = softmax_gradient_row,
          .log_softmax = log_softmax_gradient_row,
          .dot = dot_row,
          .norm_sum = norm_sum_row,
          .norm_dot = norm_dot_row,
          .norm = norm_gradient_row,
          .norm_parameters = norm_parameters_row};
}

}  // namespace
}  // namespace martlet::ops::cpu
