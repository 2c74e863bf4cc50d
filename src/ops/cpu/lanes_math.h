#pragma once

// Elementary functions over 16 lanes. Include one of float_lanes_*.h first.

namespace martlet::ops {
namespace {

/// e^x for x <= 0, within 1 unit in the last place; e^0 is exactly 1, and below -87 the result is 0. x = n ln
/// 2 + r with |r| <= ln 2 / 2; e^r is 1 + r + r^2 p(r), where p is the polynomial with the least largest
/// relative error of the result (3e-9).
inline Lanes exp_of_negative(Lanes x) {
  const Lanes n = nearest_integer(x * broadcast(0x1.715476p+0f));
  // ln 2 in two parts; the first has few enough bits that n times it is exact.
  Lanes r = multiply_add(n, broadcast(-0x1.62e400p-1f), x);
  r = multiply_add(n, broadcast(-0x1.7f7d1cp-20f), r);
  Lanes p = broadcast(0x1.6a2434p-10f);
  p = multiply_add(p, r, broadcast(0x1.1239e2p-7f));
  p = multiply_add(p, r, broadcast(0x1.5558f2p-5f));
  p = multiply_add(p, r, broadcast(0x1.555492p-3f));
  p = multiply_add(p, r, broadcast(0x1.fffffcp-2f));
  p = multiply_add(r * r, p, r) + broadcast(1.0f);
  return select_less(x, broadcast(-87.0f), zero(), p * power_of_two(n));
}

/// tanh within 3 units in the last place: an odd polynomial below 0.5, where 1 - e^-2x would cancel.
inline Lanes tanh(Lanes x) {
  const Lanes size = magnitude(x);
  const Lanes z = x * x;
  Lanes p = broadcast(-0.00664748624f);
  p = multiply_add(p, z, broadcast(0.0212979894f));
  p = multiply_add(p, z, broadcast(-0.0538991913f));
  p = multiply_add(p, z, broadcast(0.133329645f));
  p = multiply_add(p, z, broadcast(-0.333333284f));
  const Lanes small = multiply_add(size * z, p, size);
  const Lanes e = exp_of_negative(size * broadcast(-2.0f));
  const Lanes large = (broadcast(1.0f) - e) / (broadcast(1.0f) + e);
  return with_sign(select_less(size, broadcast(0.5f), small, large), x);
}

}  // namespace
}  // namespace martlet::ops
