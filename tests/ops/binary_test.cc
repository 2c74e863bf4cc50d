#include "ops/binary.h"

#include <cmath>

#include "ops/cast.h"
#include "ops/gradient_testing.h"
#include "ops/op_testing.h"

namespace martlet::ops::testing {
namespace {

class BinaryTest : public OpTest {};

struct Shapes {
  Shape a;
  Shape b;
};

const Shapes kShapes[] = {
    {{}, {}},          {{1}, {1}},          {{0}, {1}},          {{5, 33}, {5, 33}}, {{5, 33}, {33}},
    {{5, 33}, {5, 1}}, {{4, 1, 7}, {3, 1}}, {{2, 3, 4}, {3, 1}}, {{3, 0}, {3, 1}},   {{2, 1100}, {1100}},
};

Operation operation_of(Binary function) {
  return [function](const std::vector<Tensor>& inputs) { return binary(function, inputs[0], inputs[1]); };
}

TEST_F(BinaryTest, MatchesTheReferenceForEveryFunctionDtypeAndBroadcast) {
  Draws draws(1);
  for (int i = 0; i < kBinaryCount; ++i) {
    const auto function = static_cast<Binary>(i);
    for (const DType dtype : kFloating) {
      SCOPED_TRACE(fmt::format("{} {}", name_of(function), name_of(dtype)));
      for (const Shapes& shapes : kShapes)
        expect_contract({draws.any_layout(shapes.a, dtype), draws.any_layout(shapes.b, dtype)},
                        operation_of(function), {1e-7, 0});
    }
  }
}

TEST_F(BinaryTest, IntegersAreExactAndWrap) {
  Draws draws(2);
  for (int i = 0; i < kBinaryCount; ++i) {
    const auto function = static_cast<Binary>(i);
    if (function == Binary::kDivide || function == Binary::kPower) continue;
    for (const DType dtype : kIntegers) {
      SCOPED_TRACE(fmt::format("{} {}", name_of(function), name_of(dtype)));
      expect_contract({draws.any_layout({4, 19}, dtype), draws.any_layout({19}, dtype)},
                      operation_of(function), {0, 0});
    }
  }
  const Tensor most = Tensor::from(std::vector<int32_t>{INT32_MAX}, {1});
  EXPECT_EQ(add(most, Tensor::from(std::vector<int32_t>{1}, {1})).to_vector<int32_t>()[0], INT32_MIN);
}

TEST_F(BinaryTest, EqualAndDifferentValuesCompareRightly) {
  const Tensor a = Tensor::from(std::vector<float>{1, 2, 3, NAN, INFINITY}, {5});
  const Tensor b = Tensor::from(std::vector<float>{1, 3, 2, NAN, INFINITY}, {5});
  for (const Binary function :
       {Binary::kEqual, Binary::kNotEqual, Binary::kLess, Binary::kLessOrEqual, Binary::kGreater,
        Binary::kGreaterOrEqual, Binary::kMinimum, Binary::kMaximum})
    expect_contract({a, b}, operation_of(function), {0, 0});
}

TEST_F(BinaryTest, LargeInputsAreSharedAmongThreads) {
  Draws draws(3);
  expect_contract({draws.dense({70, 1001}, DType::kF32), draws.dense({1001}, DType::kF32)},
                  operation_of(Binary::kMultiply));
}

TEST_F(BinaryTest, InPlaceAddsOtherViewsOfTheSameElements) {
  Draws draws(4);
  Tensor whole = draws.dense({8, 8}, DType::kF32);
  const Tensor expected = add(whole, whole.transpose(0, 1));
  add_in_place(whole, whole.transpose(0, 1));
  EXPECT_EQ(bits_of(whole), bits_of(expected));
  Tensor half = draws.dense({3, 8}, DType::kBF16);
  const Tensor row = draws.dense({8}, DType::kBF16);
  const Tensor sum = add(half, row);
  add_in_place(half, row);
  EXPECT_EQ(bits_of(half), bits_of(sum));
}

TEST_F(BinaryTest, SumsInF32TakeNarrowerTerms) {
  Draws draws(7);
  for (const DType narrow : {DType::kBF16, DType::kF16}) {
    const std::vector<Tensor> terms{draws.any_layout({5, 70}, DType::kF32),
                                    draws.any_layout({5, 70}, narrow)};
    const auto sum = [](const std::vector<Tensor>& in) { return add(in[0], in[1]); };
    EXPECT_EQ(sum(terms).dtype(), DType::kF32);
    EXPECT_EQ(bits_of(sum(terms)), bits_of(add(terms[0], cast(terms[1], DType::kF32))));
    expect_contract(terms, sum, {0, 0});
    expect_same_gradient(terms, sum);
  }
}

TEST_F(BinaryTest, ErrorsNameTheFunctionAndWhatItGot) {
  const Tensor a = Tensor::zeros({2, 3}, DType::kF32);
  EXPECT_EQ(
      message_of([&] {
        subtract(a, Tensor::zeros({2, 3}, DType::kBF16));
      }),
      "subtract takes tensors of one dtype, got f32[2, 3] on cpu and bf16[2, 3] on cpu; cast one of them");
  EXPECT_EQ(message_of([&] { add(a, Tensor::zeros({4}, DType::kF32)); }),
            "add: shapes [2, 3] and [4] do not broadcast");
  EXPECT_EQ(message_of([&] { add(a, a.to(Device::kReference)); }),
            "add takes tensors of one device, got f32[2, 3] on cpu and f32[2, 3] on reference");
  Tensor narrow = Tensor::zeros({3}, DType::kF32);
  EXPECT_EQ(message_of([&] { add_in_place(narrow, a); }),
            "add in place takes b that broadcasts to f32[3] on cpu, got f32[2, 3] on cpu");
  const Tensor integers = Tensor::zeros({2}, DType::kI32);
  EXPECT_EQ(message_of([&] { divide(integers, integers); }),
            "divide takes a of f32, bf16 or f16, got i32[2] on cpu");
}

}  // namespace
}  // namespace martlet::ops::testing
