#pragma once

#include <string_view>

#include "ops/elementwise.h"
#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// y = f(a, b), element by element, a and b broadcast against each other (NumPy's rules), any layout. Both of
/// one dtype: f32, bf16 or f16 (computed in f32, rounded once), or integers (which wrap; divide and power
/// take floating dtypes only); `add` also takes a of f32 and b of a narrower floating dtype. Result: dense,
/// of the dtype of a; of bool for comparisons, which also take bool. Minimum and maximum give NaN where
/// either is.
Tensor binary(Binary function, const Tensor& a, const Tensor& b);
/// a = f(a, b), b broadcast to a's shape; not for comparisons. Over a's elements, or as a new tensor where
/// somebody may need the old ones for a gradient.
void binary_in_place(Binary function, Tensor& a, const Tensor& b);
Cost binary_cost(Binary function, const Shape& a, const Shape& b, DType dtype);
/// "add".
std::string_view name_of(Binary function);

inline Tensor add(const Tensor& a, const Tensor& b) {
  return binary(Binary::kAdd, a, b);
}
inline void add_in_place(Tensor& a, const Tensor& b) {
  binary_in_place(Binary::kAdd, a, b);
}
inline Tensor subtract(const Tensor& a, const Tensor& b) {
  return binary(Binary::kSubtract, a, b);
}
inline Tensor multiply(const Tensor& a, const Tensor& b) {
  return binary(Binary::kMultiply, a, b);
}
inline void multiply_in_place(Tensor& a, const Tensor& b) {
  binary_in_place(Binary::kMultiply, a, b);
}
inline Tensor divide(const Tensor& a, const Tensor& b) {
  return binary(Binary::kDivide, a, b);
}
inline Tensor minimum(const Tensor& a, const Tensor& b) {
  return binary(Binary::kMinimum, a, b);
}
inline Tensor maximum(const Tensor& a, const Tensor& b) {
  return binary(Binary::kMaximum, a, b);
}
/// a^b, in double.
inline Tensor power(const Tensor& a, const Tensor& b) {
  return binary(Binary::kPower, a, b);
}
inline Tensor equal(const Tensor& a, const Tensor& b) {
  return binary(Binary::kEqual, a, b);
}
inline Tensor not_equal(const Tensor& a, const Tensor& b) {
  return binary(Binary::kNotEqual, a, b);
}
inline Tensor less(const Tensor& a, const Tensor& b) {
  return binary(Binary::kLess, a, b);
}
inline Tensor less_or_equal(const Tensor& a, const Tensor& b) {
  return binary(Binary::kLessOrEqual, a, b);
}
inline Tensor greater(const Tensor& a, const Tensor& b) {
  return binary(Binary::kGreater, a, b);
}
inline Tensor greater_or_equal(const Tensor& a, const Tensor& b) {
  return binary(Binary::kGreaterOrEqual, a, b);
}

}  // namespace martlet::ops
