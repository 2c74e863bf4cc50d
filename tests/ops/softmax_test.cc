#include "ops/softmax.h"

#include <cmath>

#include "ops/argmax.h"
#include "ops/op_testing.h"

namespace martlet::ops::testing {
namespace {

class SoftmaxTest : public OpTest {};

TEST_F(SoftmaxTest, MatchesTheReferenceOverAnyDimension) {
  Draws draws(1);
  for (const DType dtype : kFloating) {
    for (const Shape& shape :
         {Shape{1}, Shape{33}, Shape{4, 0}, Shape{0, 4}, Shape{3, 5, 70}, Shape{2, 5000}, Shape{60, 400}}) {
      for (int dim = 0; dim < shape.rank(); ++dim) {
        SCOPED_TRACE(fmt::format("{} {} over {}", name_of(dtype), shape.to_string(), dim));
        const Tensor x = draws.any_layout(shape, dtype, 6);
        expect_contract({x}, [dim](const std::vector<Tensor>& inputs) { return softmax(inputs[0], dim); },
                        {1e-6, 1e-9});
        expect_contract({x}, [dim](const std::vector<Tensor>& inputs) { return log_softmax(inputs[0], dim); },
                        {3e-7, 1e-6});
      }
    }
  }
}

TEST_F(SoftmaxTest, MaskedAndLargeLogitsAreSafe) {
  const Tensor x = Tensor::from(std::vector<float>{-INFINITY, 1e30f, -INFINITY, 1e30f}, {1, 4});
  expect_contract({x}, [](const std::vector<Tensor>& inputs) { return softmax(inputs[0]); }, {0, 0});
}

TEST_F(SoftmaxTest, RowsDoNotDependOnEachOther) {
  Draws draws(2);
  expect_rows_independent(draws.dense({5, 1003}, DType::kF32, 4), [](const Tensor& x) { return softmax(x); });
  expect_rows_independent(draws.dense({5, 1003}, DType::kBF16, 4),
                          [](const Tensor& x) { return log_softmax(x); });
}

TEST_F(SoftmaxTest, ErrorsNameTheOperation) {
  EXPECT_EQ(message_of([] { softmax(Tensor::zeros({2}, DType::kF32), 1); }),
            "softmax has no dimension 1 in f32[2] on cpu");
  EXPECT_EQ(message_of([] { log_softmax(Tensor::zeros({2}, DType::kI64)); }),
            "log_softmax takes x of f32, bf16 or f16, got i64[2] on cpu");
}

class ArgmaxTest : public OpTest {};

TEST_F(ArgmaxTest, MatchesTheReferenceOverAnyDimension) {
  Draws draws(1);
  for (const DType dtype : kFloating) {
    for (const Shape& shape :
         {Shape{1}, Shape{33}, Shape{0, 4}, Shape{3, 5, 70}, Shape{2, 5000}, Shape{60, 400}}) {
      for (int dim = 0; dim < shape.rank(); ++dim) {
        if (shape[dim] == 0) continue;
        expect_contract({draws.any_layout(shape, dtype, 0.1f)},
                        [dim](const std::vector<Tensor>& inputs) { return argmax(inputs[0], dim); }, {0, 0});
      }
    }
  }
}

TEST_F(ArgmaxTest, TakesTheFirstOfEqualsAndOfNans) {
  std::vector<float> values(3000, -2.0f);
  values[1500] = values[2900] = 7;
  const auto place = [&] { return argmax(Tensor::from(values, {3000})).to_vector<int64_t>()[0]; };
  at_every_level([&] { EXPECT_EQ(place(), 1500); });
  values[2000] = values[2100] = NAN;
  at_every_level([&] { EXPECT_EQ(place(), 2000); });
  values.assign(3000, -INFINITY);
  at_every_level([&] { EXPECT_EQ(place(), 0); });
  values[2999] = NAN;
  at_every_level([&] { EXPECT_EQ(place(), 2999); });
}

TEST_F(ArgmaxTest, KeepsTheDimensionWhereAsked) {
  EXPECT_EQ(argmax(Tensor::zeros({2, 3, 4}, DType::kF32), 1, true).shape(), (Shape{2, 1, 4}));
}

TEST_F(ArgmaxTest, RefusesAnEmptyDimension) {
  EXPECT_EQ(message_of([] {
              argmax(Tensor::zeros({2, 0}, DType::kF32));
            }),
            "argmax takes a dimension of at least one element, got f32[2, 0] on cpu");
}

}  // namespace
}  // namespace martlet::ops::testing
