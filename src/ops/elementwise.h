#pragma once

// The element-wise functions, as data: operations, kernels and the tape name a function by these. What each
// means is its reference in ops/unary.cc and ops/binary.cc.

#include <cstdint>

namespace martlet::ops {

/// y = f(x). Numbers a and b are those of UnaryCall.
enum class Unary : uint8_t {
  kNegate,
  kAbsolute,
  kSquare,
  kReciprocal,
  kSquareRoot,
  kReciprocalSquareRoot,
  kExp,
  kLog,
  kTanh,
  kErf,
  kSigmoid,
  kSilu,         ///< x sigmoid(x)
  kGelu,         ///< x times the normal distribution function, exact
  kGeluTanh,     ///< its approximation with tanh
  kGeluQuick,    ///< x sigmoid(1.702 x)
  kRelu,         ///< max(x, 0)
  kReluSquared,  ///< max(x, 0)^2
  kScale,        ///< a x
  kShift,        ///< x + a
  kSoftCap,      ///< a tanh(x / a)
  kClamp,        ///< min(max(x, a), b)
  kPower,        ///< x^a
};
inline constexpr int kUnaryCount = static_cast<int>(Unary::kPower) + 1;

struct UnaryCall {
  Unary function;
  float a = 0;
  float b = 0;
};

/// y = f(a, b); the comparisons give bool.
enum class Binary : uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kMinimum,
  kMaximum,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
};
inline constexpr int kBinaryCount = static_cast<int>(Binary::kGreaterOrEqual) + 1;

constexpr bool is_comparison(Binary function) {
  return function >= Binary::kEqual;
}

}  // namespace martlet::ops
