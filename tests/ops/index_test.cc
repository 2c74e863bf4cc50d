#include <cmath>

#include "ops/cumulative_sum.h"
#include "ops/gather.h"
#include "ops/op_testing.h"
#include "ops/scatter.h"
#include "ops/top_k.h"

namespace martlet::ops::testing {
namespace {

/// Indices in [0, bound), i32 or i64.
Tensor drawn_indices(Draws& draws, const Shape& shape, int64_t bound) {
  std::vector<int64_t> wide;
  for (int64_t i = 0; i < shape.element_count(); ++i) wide.push_back(draws.below(bound));
  if (draws.below(2) == 0) return Tensor::from(wide, shape);
  return Tensor::from(std::vector<int32_t>(wide.begin(), wide.end()), shape);
}

class GatherTest : public OpTest {};

TEST_F(GatherTest, MatchesTheReferenceAlongAnyDimension) {
  Draws draws(1);
  for (const DType dtype : kAllDTypes) {
    for (int dim = 0; dim < 3; ++dim) {
      Shape shape{5, 6, 7};
      Shape index_shape{4, 5, 6};
      index_shape[dim] = 9;
      expect_contract({draws.any_layout(shape, dtype), drawn_indices(draws, index_shape, shape[dim])},
                      [dim](const std::vector<Tensor>& inputs) { return gather(inputs[0], dim, inputs[1]); },
                      {0, 0});
      expect_contract(
          {draws.any_layout(shape, dtype), drawn_indices(draws, {11}, shape[dim])},
          [dim](const std::vector<Tensor>& inputs) { return index_select(inputs[0], dim, inputs[1]); },
          {0, 0});
    }
  }
  expect_contract({draws.dense({100, 300}, DType::kF32), drawn_indices(draws, {200}, 100)},
                  [](const std::vector<Tensor>& inputs) { return index_select(inputs[0], 0, inputs[1]); },
                  {0, 0});
  expect_contract({draws.dense({100, 300}, DType::kF32), drawn_indices(draws, {90, 300}, 100)},
                  [](const std::vector<Tensor>& inputs) { return gather(inputs[0], 0, inputs[1]); }, {0, 0});
}

TEST_F(GatherTest, EmptyIndicesGiveEmptyResults) {
  const Tensor x = Tensor::zeros({3, 4}, DType::kF32);
  EXPECT_EQ(index_select(x, 0, Tensor::zeros({0}, DType::kI64)).shape(), (Shape{0, 4}));
  EXPECT_EQ(gather(x, 1, Tensor::zeros({0, 4}, DType::kI64)).shape(), (Shape{0, 4}));
  EXPECT_EQ(index_select(Tensor::zeros({0, 4}, DType::kF32), 0, Tensor::zeros({0}, DType::kI64)).shape(),
            (Shape{0, 4}));
}

TEST_F(GatherTest, ErrorsNameTheIndexAndItsPlace) {
  const Tensor x = Tensor::zeros({3, 4}, DType::kF32);
  const Tensor index = Tensor::from(std::vector<int64_t>{0, 3}, {2});
  EXPECT_EQ(message_of([&] { index_select(x, 0, index); }),
            "index_select has index 3 at place 1, outside [0, 3)");
  EXPECT_EQ(message_of([&] { index_select(x, 0, x); }),
            "index_select takes an index of one dimension, got f32[3, 4] on cpu");
  EXPECT_EQ(message_of([&] {
              gather(x, 0, Tensor::zeros({1, 5}, DType::kI64));
            }),
            "gather takes an index no larger than f32[3, 4] on cpu in dimension 1, got i64[1, 5] on cpu");
}

class ScatterTest : public OpTest {};

TEST_F(ScatterTest, MatchesTheReferenceAlongAnyDimension) {
  Draws draws(2);
  for (const DType dtype : kAllDTypes) {
    for (int dim = 0; dim < 3; ++dim) {
      Shape shape{5, 6, 7};
      Shape source{4, 5, 6};
      source[dim] = 9;
      const std::vector<Tensor> inputs = {draws.any_layout(shape, dtype),
                                          drawn_indices(draws, source, shape[dim]),
                                          draws.any_layout(source, dtype)};
      expect_contract(inputs,
                      [dim](const std::vector<Tensor>& at) {
                        Tensor y = at[0].clone();
                        scatter_in_place(y, dim, at[1], at[2]);
                        return y;
                      },
                      {0, 0});
      if (!is_floating(dtype)) continue;
      expect_contract(inputs, [dim](const std::vector<Tensor>& at) {
        Tensor y = at[0].clone();
        scatter_add_in_place(y, dim, at[1], at[2]);
        return y;
      });
    }
  }
}

TEST_F(ScatterTest, SumsOfSlicesAreRoundedOnceAndKeepTheirOrder) {
  Draws draws(3);
  for (const DType dtype : kFloating) {
    for (int dim = 0; dim < 2; ++dim) {
      Shape source{40, 300};
      source[dim] = 500;
      const Tensor index = drawn_indices(draws, {500}, dim == 0 ? 40 : 300);
      expect_contract({draws.dense({40, 300}, dtype), index, draws.any_layout(source, dtype)},
                      [dim](const std::vector<Tensor>& at) {
                        Tensor y = at[0].clone();
                        index_add_in_place(y, dim, at[1], at[2]);
                        return y;
                      },
                      {2e-6, 1e-5});
    }
  }
}

TEST_F(ScatterTest, WritesThroughAViewAndNothingElse) {
  Draws draws(4);
  const Tensor whole = draws.dense({6, 8}, DType::kF32);
  const std::vector<std::byte> others = bits_of(whole.slice(1, 1, 8, 2));
  Tensor view = whole.slice(1, 0, 8, 2);
  Tensor expected = view.clone();
  const Tensor index = Tensor::from(std::vector<int64_t>{5, 0, 5}, {3});
  const Tensor source = draws.dense({3, 4}, DType::kF32);
  index_add_in_place(view, 0, index, source);
  index_add_in_place(expected, 0, index, source);
  EXPECT_EQ(bits_of(view), bits_of(expected));
  EXPECT_EQ(bits_of(whole.slice(1, 1, 8, 2)), others);
}

TEST_F(ScatterTest, ErrorsNameWhatDoesNotFit) {
  Tensor x = Tensor::zeros({3, 4}, DType::kF32);
  const Tensor index = Tensor::zeros({2}, DType::kI64);
  EXPECT_EQ(message_of([&] { index_add_in_place(x, 0, index, x); }),
            "index_add takes source of shape [2, 4], got f32[3, 4] on cpu");
  EXPECT_EQ(message_of([&] { scatter_in_place(x, 0, index, x); }),
            "scatter takes index of shape [3, 4], got i64[2] on cpu");
  Tensor repeated = x.expand({2, 3, 4});
  EXPECT_EQ(message_of([&] {
              scatter_add_in_place(repeated, 0, index, x);
            }),
            "scatter_add cannot write f32[2, 3, 4] on cpu: it is read-only");
}

class TopKTest : public OpTest {};

TEST_F(TopKTest, MatchesTheReference) {
  Draws draws(5);
  for (const DType dtype : kFloating) {
    for (const Shape& shape : {Shape{1}, Shape{5, 33}, Shape{0, 4}, Shape{2, 3, 2100}, Shape{30, 3000}}) {
      for (const int64_t k : {int64_t{0}, int64_t{1}, shape.dim(-1) / 2, shape.dim(-1)}) {
        const Tensor x = draws.any_layout(shape, dtype);
        expect_contract({x}, [k](const std::vector<Tensor>& inputs) { return top_k(inputs[0], k).values; },
                        {0, 0});
        expect_contract({x}, [k](const std::vector<Tensor>& inputs) { return top_k(inputs[0], k).indices; },
                        {0, 0});
      }
    }
  }
}

TEST_F(TopKTest, NansComeFirstAndEqualsInOrder) {
  std::vector<float> values(3000, 1.0f);
  values[2500] = NAN;
  values[2000] = 2;
  at_every_level([&] {
    const TopK top = top_k(Tensor::from(values, {3000}), 4);
    EXPECT_EQ(top.indices.to_vector<int64_t>(), (std::vector<int64_t>{2500, 2000, 0, 1}));
  });
}

TEST_F(TopKTest, RefusesMoreThanThereAre) {
  EXPECT_EQ(message_of([] {
              top_k(Tensor::zeros({2, 3}, DType::kF32), 4);
            }),
            "top_k takes k from 0 to 3 for f32[2, 3] on cpu, got 4");
}

class CumulativeSumTest : public OpTest {};

TEST_F(CumulativeSumTest, MatchesTheReferenceAlongAnyDimension) {
  Draws draws(6);
  for (const DType dtype :
       {DType::kF32, DType::kBF16, DType::kF16, DType::kI64, DType::kI32, DType::kI8, DType::kU8})
    for (const Shape& shape : {Shape{1}, Shape{0}, Shape{3, 0}, Shape{5, 33}, Shape{2, 3000}, Shape{40, 500}})
      for (int dim = 0; dim < shape.rank(); ++dim)
        expect_contract({draws.any_layout(shape, dtype)},
                        [dim](const std::vector<Tensor>& inputs) { return cumulative_sum(inputs[0], dim); },
                        {1e-7, 0});
}

TEST_F(CumulativeSumTest, ErrorsNameTheOperation) {
  EXPECT_EQ(message_of([] { cumulative_sum(Tensor::zeros({2}, DType::kBool)); }),
            "cumulative_sum takes x of i64, i32, i8 or u8, got bool[2] on cpu");
}

}  // namespace
}  // namespace martlet::ops::testing
