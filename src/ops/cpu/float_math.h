#pragma once

// exp, log, tanh, erf and what is built from them, over sixteen lanes. Include one of floats_*.h first.
//
// Bounds against exact values, for the fused forms (portable in brackets), held by tests/ops/unary_test.cc:
// exp 1 ulp (1.5), log 1.5 (2), tanh 2 (2), erf 2 (2), sigmoid and SiLU 2.5 (3), GELU 4 (5). Coefficients are
// minimax fits of relative error (Lawson's iteration), rounded to f32 one by one, lowest order first, each
// time with the rest fitted anew. NaN gives NaN; infinities give the limits.

#include <cfloat>
#include <cmath>
#include <cstdint>

namespace martlet::ops::cpu {
namespace {

inline Floats magnitude(Floats a) {
  return floats_of(bits_of(a) & all_ints(0x7fffffff));
}
/// `a`, not negative, with the sign of `b`.
inline Floats with_sign(Floats a, Floats b) {
  return floats_of(bits_of(a) | (bits_of(b) & all_ints(INT32_MIN)));
}

/// Horner's rule, the highest power first.
template <typename... Rest>
Floats polynomial(Floats x, float highest, Rest... rest) {
  Floats value = all(highest);
  ((value = multiply_add(value, x, all(rest))), ...);
  return value;
}

/// x within [-105, 90], where e^x is 0 and infinity already; NaN stays.
inline Floats bounded_exponent(Floats x) {
  return smaller(all(90.0f), larger(all(-105.0f), x));
}

/// e^r 2^n for |r| <= ln 2 / 2: e^r = 1 + r + r^2 q(r).
inline Floats exp_of_parts(Floats n, Floats r) {
  const Floats q = polynomial(r, 0.00138207979f, 0.00836925022f, 0.041668281f, 0.166665167f, 0.49999994f);
  return times_power_of_two(multiply_add(r * r, q, r) + all(1.0f), n);
}

/// x - n ln 2: ln 2 is split so that n times its upper part is exact.
inline Floats less_whole_powers(Floats x, Floats n) {
  return multiply_add(n, all(-1.42860677e-6f), multiply_add(n, all(-0.693145751953125f), x));
}

inline Floats exp(Floats x) {
  const Floats bounded = bounded_exponent(x);
  const Floats n = nearest_integer(bounded * all(1.44269504f));
  return exp_of_parts(n, less_whole_powers(bounded, n));
}

/// e^(x + rest) where `rest` is what x lacks in places.
inline Floats exp_of_sum(Floats x, Floats rest) {
  const Floats bounded = bounded_exponent(x);
  const Floats n = nearest_integer((bounded + rest) * all(1.44269504f));
  return exp_of_parts(n, less_whole_powers(bounded, n) + rest);
}

/// x = 2^e m with m in [sqrt(1/2), sqrt(2)); log m = f - f^2/2 + f^3 p(f), f = m - 1.
inline Floats log(Floats x) {
  const Mask tiny = x < all(FLT_MIN);
  const Floats normal = select(tiny, x * all(33554432.0f), x);  // 2^25
  const Ints root_half = all_ints(0x3f3504f3);
  const Ints shifted = bits_of(normal) - root_half;
  const Floats e = to_floats(shift_right<23>(shifted)) - select(tiny, all(25.0f), all(0.0f));
  const Floats f = floats_of((shifted & all_ints(0x007fffff)) + root_half) - all(1.0f);
  const Floats p = polynomial(f, 0.0674971491f, -0.116708957f, 0.118837424f, -0.124061145f, 0.142203212f,
                              -0.166679934f, 0.20002073f, -0.250000089f, 0.333333135f);
  const Floats square = f * f;
  const Floats low = multiply_add(e, all(1.42860677e-6f), square * f * p);
  Floats value = multiply_add(e, all(0.693145751953125f), f - (all(0.5f) * square - low));
  const Floats infinity = all(INFINITY);
  value = select(x == all(0.0f), all(0.0f) - infinity, value);
  value = select(x < all(0.0f), all(NAN), value);
  return select(is_nan(x), x, select(x == infinity, x, value));
}

/// Odd polynomial near zero; 1 - 2 / (e^2|x| + 1) beyond.
inline Floats tanh(Floats x) {
  const Floats z = magnitude(x);
  const Floats square = x * x;
  const Floats p =
      polynomial(square, -0.0055286875f, 0.0204833411f, -0.0536929592f, 0.133308992f, -0.333332628f);
  const Floats near = multiply_add(z * square, p, z);
  const Floats far = all(1.0f) - all(2.0f) / (exp(z + z) + all(1.0f));
  return with_sign(select(z < all(0.625f), near, far), x);
}

/// The probability that a standard normal exceeds u >= 0: erfc(u / sqrt 2) / 2. Shepherd and Laframboise,
/// "Chebyshev Approximation of (1 + 2x) exp(x^2) erfc x", 1981. u^2 is taken in two parts, since an error of
/// its last place is one of u^2 places of the exponential.
inline Floats normal_tail(Floats u) {
  const Floats bounded = smaller(u, all(14.5f));
  const Floats high = floats_of(bits_of(bounded) & all_ints(-4096));
  const Floats low = all(-0.5f) * (bounded - high) * (bounded + high);
  const Floats exponential = exp_of_sum(all(-0.5f) * high * high, low);
  const Floats t = (bounded - all(4.0f)) / (bounded + all(4.0f));
  const Floats q =
      polynomial(t, -0.000283041969f, -0.000293456862f, 0.00204832153f, -0.00128860469f, -0.0145088397f,
                 0.0577579401f, -0.116653219f, 0.140298694f, -0.0634410456f, -0.132356644f, 1.25695574f);
  return all(0.5f) * exponential * q / multiply_add(bounded, all(1.41421356f), all(1.0f));
}

inline Floats erf(Floats x) {
  const Floats z = magnitude(x);
  const Floats square = x * x;
  const Floats p = polynomial(square, 7.92030987e-05f, -0.000803075091f, 0.00519073335f, -0.026855126f,
                              0.112836182f, -0.376126289f, 0.128379166f);
  const Floats near = multiply_add(z, p, z);
  const Floats far = all(1.0f) - all(2.0f) * normal_tail(z * all(1.41421356f));
  return select(is_nan(x), x, with_sign(select(z < all(1.0f), near, far), x));
}

inline Floats sigmoid(Floats x) {
  return all(1.0f) / (all(1.0f) + exp(all(0.0f) - x));
}

/// x sigmoid(a), given a.
inline Floats gated_by(Floats x, Floats a) {
  return x / (all(1.0f) + exp(all(0.0f) - a));
}

/// x times the normal distribution function; its lower tail is computed as a tail, without cancellation.
inline Floats gelu(Floats x) {
  const Floats tail = normal_tail(magnitude(x));
  return x * select(x < all(0.0f), tail, all(1.0f) - tail);
}

/// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), written with 1 + tanh a = 2 sigmoid(2a).
inline Floats gelu_tanh(Floats x) {
  return gated_by(x, x * multiply_add(x * x, all(0.0713548163f), all(1.59576912f)));
}

inline Floats gelu_quick(Floats x) {
  return gated_by(x, x * all(1.702f));
}

}  // namespace
}  // namespace martlet::ops::cpu
