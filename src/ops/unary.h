#pragma once

#include <string_view>

#include "ops/elementwise.h"
#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// y = f(x), element by element. x: any shape and layout, f32, bf16 or f16, computed in f32 and rounded once;
/// negate, absolute, square, ReLU and clamp also take integers (which wrap). Result: dense, of x's dtype.
/// Error bounds of the functions stand in ops/cpu/float_math.h. GELU: Hendrycks and Gimpel, "Gaussian Error
/// Linear Units", 2016; squared ReLU: So et al., "Primer", 2021.
Tensor unary(const UnaryCall& call, const Tensor& x);
/// x = f(x): over its elements, or as a new tensor where somebody may need the old ones for a gradient.
void unary_in_place(const UnaryCall& call, Tensor& x);
/// The gradient of x from the one of f(x): f'(x) dy. Where f has a corner the slope is 0 for |x| and ReLU; at
/// clamp's limits it is 1.
Tensor unary_gradient(const UnaryCall& call, const Tensor& x, const Tensor& dy);
Cost unary_cost(const UnaryCall& call, const Shape& x, DType dtype);
/// The definition, in double: for the references of fused operations.
double value_of(const UnaryCall& call, double x);
/// Its derivative.
double slope_of(const UnaryCall& call, double x);
/// "silu".
std::string_view name_of(Unary function);

inline Tensor negate(const Tensor& x) {
  return unary({Unary::kNegate}, x);
}
inline Tensor absolute(const Tensor& x) {
  return unary({Unary::kAbsolute}, x);
}
inline Tensor square(const Tensor& x) {
  return unary({Unary::kSquare}, x);
}
inline Tensor reciprocal(const Tensor& x) {
  return unary({Unary::kReciprocal}, x);
}
inline Tensor square_root(const Tensor& x) {
  return unary({Unary::kSquareRoot}, x);
}
inline Tensor reciprocal_square_root(const Tensor& x) {
  return unary({Unary::kReciprocalSquareRoot}, x);
}
inline Tensor exp(const Tensor& x) {
  return unary({Unary::kExp}, x);
}
inline Tensor log(const Tensor& x) {
  return unary({Unary::kLog}, x);
}
inline Tensor tanh(const Tensor& x) {
  return unary({Unary::kTanh}, x);
}
inline Tensor erf(const Tensor& x) {
  return unary({Unary::kErf}, x);
}
inline Tensor sigmoid(const Tensor& x) {
  return unary({Unary::kSigmoid}, x);
}
inline Tensor silu(const Tensor& x) {
  return unary({Unary::kSilu}, x);
}
inline Tensor gelu(const Tensor& x) {
  return unary({Unary::kGelu}, x);
}
inline Tensor gelu_tanh(const Tensor& x) {
  return unary({Unary::kGeluTanh}, x);
}
inline Tensor gelu_quick(const Tensor& x) {
  return unary({Unary::kGeluQuick}, x);
}
inline Tensor relu(const Tensor& x) {
  return unary({Unary::kRelu}, x);
}
inline Tensor relu_squared(const Tensor& x) {
  return unary({Unary::kReluSquared}, x);
}
/// factor * x.
inline Tensor scale(const Tensor& x, float factor) {
  return unary({Unary::kScale, factor}, x);
}
inline void scale_in_place(Tensor& x, float factor) {
  unary_in_place({Unary::kScale, factor}, x);
}
/// x + term.
inline Tensor shift(const Tensor& x, float term) {
  return unary({Unary::kShift, term}, x);
}
/// cap * tanh(x / cap): logits kept within (-cap, cap) (Gemma 2).
inline Tensor soft_cap(const Tensor& x, float cap) {
  return unary({Unary::kSoftCap, cap}, x);
}
inline void soft_cap_in_place(Tensor& x, float cap) {
  unary_in_place({Unary::kSoftCap, cap}, x);
}
/// min(max(x, least), most).
inline Tensor clamp(const Tensor& x, float least, float most) {
  return unary({Unary::kClamp, least, most}, x);
}
/// x^exponent, in double.
inline Tensor power(const Tensor& x, float exponent) {
  return unary({Unary::kPower, exponent}, x);
}

}  // namespace martlet::ops
