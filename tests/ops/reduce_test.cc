#include "ops/reduce.h"

#include <cmath>

#include "ops/op_testing.h"
#include "ops/where.h"

namespace martlet::ops::testing {
namespace {

class ReduceTest : public OpTest {};

constexpr Reduction kAll[] = {Reduction::kSum, Reduction::kMean, Reduction::kMaximum, Reduction::kMinimum};

Operation operation_of(Reduction reduction, const std::vector<int>& dims, bool keep) {
  return [=](const std::vector<Tensor>& inputs) { return reduce(reduction, inputs[0], dims, keep); };
}

TEST_F(ReduceTest, MatchesTheReferenceOverAnyDimensions) {
  Draws draws(1);
  struct Case {
    Shape shape;
    std::vector<int> dims;
  };
  const Case cases[] = {{{}, {}},
                        {{1}, {0}},
                        {{1000}, {}},
                        {{9, 70}, {1}},
                        {{70, 9}, {0}},
                        {{4, 5, 6}, {-1, 0}},
                        {{4, 5, 6}, {1}},
                        {{3, 5000}, {1}},
                        {{5000, 37}, {0}},
                        {{2, 3, 4, 5}, {}},
                        {{0, 3}, {1}},
                        {{60, 300}, {0}},
                        {{8200, 2, 3}, {0, 2}}};
  for (const Reduction reduction : kAll) {
    for (const DType dtype : kFloating) {
      for (const Case& item : cases) {
        for (const bool keep : {false, true}) {
          SCOPED_TRACE(fmt::format("{} {} {}", name_of(reduction), name_of(dtype), item.shape.to_string()));
          expect_contract({draws.any_layout(item.shape, dtype)}, operation_of(reduction, item.dims, keep),
                          {1e-6, 1e-4});
        }
      }
    }
  }
}

TEST_F(ReduceTest, IntegersAreExact) {
  Draws draws(2);
  for (const Reduction reduction : {Reduction::kSum, Reduction::kMaximum, Reduction::kMinimum})
    for (const DType dtype : kIntegers)
      for (const std::vector<int>& dims : {std::vector<int>{}, {0}, {1}})
        expect_contract({draws.any_layout({40, 61}, dtype)}, operation_of(reduction, dims, false), {0, 0});
}

TEST_F(ReduceTest, TheOrderOfASumDependsOnItsElementsAlone) {
  Draws draws(3);
  const Tensor x = draws.dense({9000, 20}, DType::kF32);
  at_every_level([&] {
    const Tensor columns = sum(x, {0});
    for (int64_t column = 0; column < 20; ++column)
      ASSERT_EQ(bits_of(sum(x.select(1, column).clone())), bits_of(columns.select(0, column)));
  });
  expect_rows_independent(draws.dense({6, 5000}, DType::kBF16),
                          [](const Tensor& rows) { return mean(rows, {1}); });
}

TEST_F(ReduceTest, NothingAndNansAndInfinities) {
  EXPECT_EQ(sum(Tensor::zeros({0}, DType::kF32)).to_vector<float>()[0], 0.0f);
  EXPECT_TRUE(std::isnan(mean(Tensor::zeros({0}, DType::kF32)).to_vector<float>()[0]));
  EXPECT_EQ(sum(Tensor::zeros({2, 0}, DType::kI32), {1}).to_vector<int64_t>(), (std::vector<int64_t>{0, 0}));
  for (const size_t place : {size_t{0}, size_t{17}, size_t{31}, size_t{36}}) {
    std::vector<float> values(37, 1.0f);
    values[place] = NAN;
    values[5] = INFINITY;
    for (const Reduction reduction : kAll)
      expect_contract({Tensor::from(values, {37})}, operation_of(reduction, {}, false));
  }
}

TEST_F(ReduceTest, ErrorsNameTheReduction) {
  EXPECT_EQ(message_of([] { mean(Tensor::zeros({2}, DType::kI32)); }),
            "mean takes x of f32, bf16 or f16, got i32[2] on cpu");
  EXPECT_EQ(message_of([] { sum(Tensor::zeros({2}, DType::kF32), {1}); }),
            "sum has no dimension 1 in f32[2] on cpu");
  EXPECT_EQ(message_of([] {
              sum(Tensor::zeros({2, 3}, DType::kF32), {1, -1});
            }),
            "sum names dimension -1 twice");
  EXPECT_EQ(message_of([] {
              maximum_of(Tensor::zeros({2, 0}, DType::kF32), {1});
            }),
            "maximum_of takes at least one element, got f32[2, 0] on cpu");
}

class WhereTest : public OpTest {};

TEST_F(WhereTest, MatchesTheReferenceForEveryDtypeAndBroadcast) {
  Draws draws(4);
  const auto operation = [](const std::vector<Tensor>& inputs) {
    return where(inputs[0], inputs[1], inputs[2]);
  };
  for (const DType dtype : kAllDTypes) {
    expect_contract({draws.any_layout({5, 33}, DType::kBool), draws.any_layout({5, 33}, dtype),
                     draws.any_layout({5, 33}, dtype)},
                    operation, {0, 0});
    expect_contract({draws.dense({5, 1}, DType::kBool), draws.dense({33}, dtype), draws.dense({}, dtype)},
                    operation, {0, 0});
    expect_contract({draws.dense({0, 4}, DType::kBool), draws.dense({4}, dtype), draws.dense({1}, dtype)},
                    operation, {0, 0});
  }
  expect_contract({draws.dense({30, 1000}, DType::kBool), draws.dense({30, 1000}, DType::kF32),
                   draws.dense({1000}, DType::kF32)},
                  operation, {0, 0});
}

TEST_F(WhereTest, ErrorsNameWhatItTakes) {
  const Tensor x = Tensor::zeros({2}, DType::kF32);
  EXPECT_EQ(message_of([&] { where(x, x, x); }), "where takes a condition of bool, got f32[2] on cpu");
  EXPECT_EQ(message_of([&] { where(Tensor::zeros({3}, DType::kBool), x, x); }),
            "where: shapes [3] and [2] do not broadcast");
}

}  // namespace
}  // namespace martlet::ops::testing
