#include "ops/unary.h"

#include <cmath>

#include "ops/op_testing.h"

namespace martlet::ops::testing {
namespace {

using ::testing::HasSubstr;

class UnaryTest : public OpTest {};

std::vector<UnaryCall> all_calls() {
  std::vector<UnaryCall> calls;
  for (int i = 0; i < kUnaryCount; ++i) calls.push_back({static_cast<Unary>(i), 1.75f, 2.5f});
  return calls;
}

Operation operation_of(const UnaryCall& call) {
  return [call](const std::vector<Tensor>& inputs) { return unary(call, inputs[0]); };
}

/// Distance in units of the last place of the exact value's f32 neighbours.
double ulps(float actual, double exact) {
  if (static_cast<double>(actual) == exact) return 0;
  const double magnitude = std::fmax(std::fabs(exact), 0x1p-126);
  const double ulp = std::ldexp(1.0, std::ilogb(magnitude) - 23);
  return std::fabs(static_cast<double>(actual) - exact) / ulp;
}

TEST_F(UnaryTest, MatchesTheReferenceForEveryFunctionDtypeAndLayout) {
  Draws draws(1);
  for (const UnaryCall& call : all_calls()) {
    for (const DType dtype : kFloating) {
      SCOPED_TRACE(fmt::format("{} {}", name_of(call.function), name_of(dtype)));
      for (const Shape& shape : {Shape{}, Shape{1}, Shape{0}, Shape{3, 0, 2}, Shape{17}, Shape{5, 33},
                                 Shape{2, 3, 4, 7}, Shape{3, 1100}})
        expect_contract({draws.any_layout(shape, dtype, 3)}, operation_of(call), {4e-7, 1e-7});
    }
  }
}

TEST_F(UnaryTest, LargeInputsAreSharedAmongThreads) {
  Draws draws(2);
  expect_contract({draws.dense({70, 1001}, DType::kF32, 3)}, operation_of({Unary::kSilu}), {4e-7, 1e-7});
  expect_contract({draws.dense({1001, 70}, DType::kBF16, 3).transpose(0, 1)}, operation_of({Unary::kExp}));
}

TEST_F(UnaryTest, IntegersAreExactWhereAFunctionTakesThem) {
  Draws draws(3);
  for (const DType dtype : kIntegers)
    for (const UnaryCall& call :
         {UnaryCall{Unary::kNegate}, UnaryCall{Unary::kAbsolute}, UnaryCall{Unary::kSquare},
          UnaryCall{Unary::kRelu}, UnaryCall{Unary::kClamp, -7.5f, 1e30f}})
      expect_contract({draws.any_layout({4, 19}, dtype)}, operation_of(call), {0, 0});
}

struct Bound {
  Unary function;
  double fused;     ///< ulp
  double portable;  ///< ulp
  float least;
  float most;
};

TEST_F(UnaryTest, ErrorsStayWithinTheStatedBounds) {
  // Bounds as ops/cpu/float_math.h states them; ranges are those in which the exact value is a normal number.
  const Bound bounds[] = {
      {Unary::kExp, 1, 1.5, -87, 88.7f},       {Unary::kLog, 1.5, 2, 1e-30f, 1e30f},
      {Unary::kLog, 1.5, 2, 0.5f, 2},          {Unary::kTanh, 2, 2, -10, 10},
      {Unary::kTanh, 2, 2, -1e-3f, 1e-3f},     {Unary::kErf, 2, 2, -5, 5},
      {Unary::kErf, 2, 2, -1e-3f, 1e-3f},      {Unary::kSigmoid, 2.5, 3, -80, 100},
      {Unary::kSilu, 2.5, 3, -80, 100},        {Unary::kGelu, 4, 5, -12.5f, 12},
      {Unary::kSquareRoot, 0.5, 0.5, 0, 1e9f}, {Unary::kReciprocalSquareRoot, 1.5, 1.5, 1e-9f, 1e9f},
  };
  constexpr int64_t kPoints = 200001;
  at_every_level([&] {
    const bool portable = !cpu_features().avx2;
    for (const Bound& bound : bounds) {
      std::vector<float> points;
      for (int64_t i = 0; i < kPoints; ++i) {
        const double share = static_cast<double>(i) / static_cast<double>(kPoints - 1);
        points.push_back(static_cast<float>(static_cast<double>(bound.least) * (1 - share) +
                                            static_cast<double>(bound.most) * share));
      }
      const std::vector<float> values =
          unary({bound.function}, Tensor::from(points, {kPoints})).to_vector<float>();
      double worst = 0;
      float at = 0;
      for (size_t i = 0; i < points.size(); ++i) {
        const double error = ulps(values[i], value_of({bound.function}, static_cast<double>(points[i])));
        if (error <= worst) continue;
        worst = error;
        at = points[i];
      }
      EXPECT_LE(worst, portable ? bound.portable : bound.fused) << name_of(bound.function) << " at " << at;
    }
  });
}

TEST_F(UnaryTest, SpecialValuesGiveTheLimits) {
  const float inf = INFINITY;
  const std::vector<float> values = {inf,     -inf,  NAN,     0.0f,  -0.0f, 1e-40f,
                                     -1e-40f, 89.5f, -104.5f, 3e38f, -3e38f};
  const Tensor x = Tensor::from(values, {static_cast<int64_t>(values.size())});
  for (const UnaryCall& call : all_calls()) {
    SCOPED_TRACE(name_of(call.function));
    // Subnormal results of quotients by overflowed exponentials are zero.
    expect_contract({x}, operation_of(call), {4e-7, 1e-37});
  }
}

TEST_F(UnaryTest, InPlaceHasTheSameBitsAndLeavesTheRestOfAViewAlone) {
  Draws draws(4);
  for (const UnaryCall& call : all_calls()) {
    const Tensor whole = draws.dense({6, 40}, DType::kF32);
    Tensor view = whole.slice(1, 3, 40, 2);
    const Tensor expected = unary(call, view);
    const std::vector<std::byte> others = bits_of(whole.slice(1, 4, 40, 2));
    unary_in_place(call, view);
    EXPECT_EQ(bits_of(view), bits_of(expected)) << name_of(call.function);
    EXPECT_EQ(bits_of(whole.slice(1, 4, 40, 2)), others);
  }
}

TEST_F(UnaryTest, ErrorsNameTheFunctionAndWhatItGot) {
  const Tensor integers = Tensor::zeros({3}, DType::kI32);
  EXPECT_EQ(message_of([&] { silu(integers); }), "silu takes x of f32, bf16 or f16, got i32[3] on cpu");
  EXPECT_EQ(message_of([&] { negate(Tensor::zeros({3}, DType::kBool)); }),
            "negate takes x of i64, i32, i8 or u8, got bool[3] on cpu");
  EXPECT_EQ(message_of([&] { exp(Tensor()); }), "exp takes a tensor x, got nothing");
  EXPECT_EQ(message_of([&] { soft_cap(Tensor::zeros({3}, DType::kF32), 0); }),
            "soft_cap takes a cap above 0, got 0");
  Tensor repeated = Tensor::zeros({1}, DType::kF32).expand({3});
  EXPECT_THAT(message_of([&] { unary_in_place({Unary::kExp}, repeated); }),
              HasSubstr("read-only"));
}

}  // namespace
}  // namespace martlet::ops::testing
