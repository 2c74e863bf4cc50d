// Gradients of the operations that are not element-wise.

#include "ops/activation.h"
#include "ops/cast.h"
#include "ops/concat.h"
#include "ops/cross_entropy.h"
#include "ops/cumulative_sum.h"
#include "ops/embedding.h"
#include "ops/gather.h"
#include "ops/gradient_testing.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/scatter.h"
#include "ops/softmax.h"
#include "ops/top_k.h"
#include "ops/unary.h"
#include "ops/where.h"

namespace martlet::ops::testing {
namespace {

using Inputs = std::vector<Tensor>;
using Gradient = OpTest;

Tensor indices(Draws& draws, const Shape& shape, int64_t bound) {
  std::vector<int64_t> values(static_cast<size_t>(shape.element_count()));
  for (int64_t& value : values) value = draws.below(bound);
  return Tensor::from(values, shape);
}

const Shape kShapes[] = {{4, 7}, {2, 3, 20}, {1, 1}, {0, 5}, {9}};

TEST_F(Gradient, OfNorms) {
  Draws draws(1);
  for (const Shape& shape : kShapes) {
    const Shape n{shape.dim(-1)};
    const Tensor x = draws.any_layout(shape, DType::kF32);
    const Tensor weight = draws.dense(n, DType::kF32);
    const Tensor bias = draws.dense(n, DType::kF32);
    expect_gradient({x, weight}, [](const Inputs& in) { return rms_norm(in[0], in[1], 0.1f, 1); });
    expect_gradient({x, Tensor()}, [](const Inputs& in) { return rms_norm(in[0], in[1], 0.1f); });
    expect_gradient({x, x, weight}, [](const Inputs& in) {
      Tensor sum = scale(in[0], 1);
      const Tensor norm = add_rms_norm(sum, in[1], in[2], 0.1f);
      return concat({sum, norm}, 0);
    });
    expect_gradient({x, weight, bias},
                    [](const Inputs& in) { return layer_norm(in[0], in[1], in[2], 0.1f); });
    expect_gradient({x, Tensor(), bias},
                    [](const Inputs& in) { return layer_norm(in[0], in[1], in[2], 0.1f); });
  }
}

TEST_F(Gradient, OfNormsOverManyRowsAgreesWithTheReference) {
  Draws draws(2);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Tolerance tolerance = dtype == DType::kF32 ? Tolerance{2e-5, 2e-4} : Tolerance{2e-2, 2e-2};
    const Tensor x = draws.any_layout({1500, 45}, dtype);
    const Tensor weight = draws.dense({45}, DType::kF32);
    expect_same_gradient(
        {x, weight}, [](const Inputs& in) { return rms_norm(in[0], in[1], 1e-5f); }, tolerance);
    expect_same_gradient(
        {x, weight, weight}, [](const Inputs& in) { return layer_norm(in[0], in[1], in[2], 1e-5f); },
        tolerance);
  }
}

TEST_F(Gradient, OfSoftmaxes) {
  Draws draws(3);
  for (const Shape& shape : kShapes)
    for (const int dim : {0, -1}) {
      expect_gradient({draws.any_layout(shape, DType::kF32)},
                      [dim](const Inputs& in) { return softmax(in[0], dim); });
      expect_gradient({draws.any_layout(shape, DType::kF32)},
                      [dim](const Inputs& in) { return log_softmax(in[0], dim); });
    }
  expect_same_gradient({draws.dense({3, 5000}, DType::kF32)}, [](const Inputs& in) { return softmax(in[0]); },
                       {1e-4, 1e-6});
}

TEST_F(Gradient, OfCrossEntropy) {
  Draws draws(4);
  const Tensor targets = Tensor::from(std::vector<int64_t>{3, -100, 0, 6, 3, -100}, {2, 3});
  for (const LossReduction reduction : {LossReduction::kMean, LossReduction::kSum, LossReduction::kNone})
    expect_gradient({draws.any_layout({2, 3, 7}, DType::kF32), targets},
                    [&](const Inputs& in) { return cross_entropy(in[0], in[1], reduction); });
  // The logits belong to nobody else here and are overwritten by their gradient.
  expect_gradient(
      {draws.dense({5, 4}, DType::kF32), draws.dense({9, 4}, DType::kF32), indices(draws, {5}, 9)},
      [](const Inputs& in) { return cross_entropy(linear(in[0], Weight(in[1])), in[2]); });
  expect_same_gradient({draws.dense({3, 9000}, DType::kBF16), indices(draws, {3}, 9000)},
                       [](const Inputs& in) { return cross_entropy(in[0], in[1]); }, {1e-2, 1e-6});
}

TEST_F(Gradient, OfLinear) {
  Draws draws(5);
  for (const Shape& shape : {Shape{3, 5}, Shape{2, 2, 5}, Shape{5}, Shape{0, 5}}) {
    const Inputs inputs{draws.any_layout(shape, DType::kF32), draws.dense({4, 5}, DType::kF32),
                        draws.dense({4}, DType::kF32)};
    expect_gradient(inputs, [](const Inputs& in) { return linear(in[0], Weight(in[1]), in[2]); });
  }
  expect_same_gradient(
      {draws.dense({70, 40}, DType::kBF16), draws.dense({30, 40}, DType::kF32)},
      [](const Inputs& in) { return linear(in[0], Weight(in[1])); }, {1e-2, 2e-2}, false);
}

TEST_F(Gradient, OfMatmul) {
  Draws draws(11);
  for (const auto& [a, b] : {std::pair<Shape, Shape>{{3, 4}, {4, 5}},
                             {{2, 3, 4}, {4, 5}},
                             {{3, 4}, {2, 4, 2}},
                             {{2, 1, 2, 3}, {3, 3, 4}},
                             {{0, 4}, {4, 2}}})
    expect_gradient({draws.any_layout(a, DType::kF32), draws.any_layout(b, DType::kF32)},
                    [](const Inputs& in) { return matmul(in[0], in[1]); });
}

TEST_F(Gradient, OfEmbedding) {
  Draws draws(6);
  const std::vector<int32_t> ids{4, 0, 4, 2, 4};
  expect_gradient({draws.dense({5, 3}, DType::kF32)},
                  [&](const Inputs& in) { return embedding(ids, Weight(in[0])); });
  // Tied: the head's gradient and the rows' come together in one sum.
  expect_gradient({draws.dense({5, 3}, DType::kF32)},
                  [&](const Inputs& in) { return linear(embedding(ids, Weight(in[0])), Weight(in[0])); });
  expect_gradient({draws.dense({5, 3}, DType::kF32)},
                  [&](const Inputs& in) { return embedding({}, Weight(in[0])); });
}

TEST_F(Gradient, OfRope) {
  Draws draws(7);
  const std::vector<int32_t> positions{0, 3, 100};
  RopeScaling scaling;
  scaling.dimensions = 6;
  const RopeFrequencies frequencies = rope_frequencies(scaling, 128);
  expect_gradient({draws.dense({3, 2, 8}, DType::kF32)}, [&](const Inputs& in) {
    return rope(in[0], rope_table(positions, frequencies, in[0].device()));
  });
  expect_gradient({draws.dense({3, 2, 8}, DType::kF32)}, [&](const Inputs& in) {
    Tensor x = scale(in[0], 2);
    rope_in_place(x, rope_table(positions, frequencies, x.device()));
    return x;
  });
}

TEST_F(Gradient, OfGatedActivations) {
  Draws draws(8);
  for (const Unary activation :
       {Unary::kSilu, Unary::kGelu, Unary::kGeluTanh, Unary::kGeluQuick, Unary::kTanh, Unary::kSigmoid}) {
    expect_gradient({draws.any_layout({3, 21}, DType::kF32), draws.any_layout({3, 21}, DType::kF32)},
                    [=](const Inputs& in) { return gated(activation, in[0], in[1]); });
    expect_gradient({draws.dense({2, 10}, DType::kF32)},
                    [=](const Inputs& in) { return gated(activation, in[0]); });
  }
  expect_gradient({draws.dense({2, 10}, DType::kF32), draws.dense({2, 10}, DType::kF32)},
                  [](const Inputs& in) {
                    Tensor gate = scale(in[0], 2);
                    gated_in_place(Unary::kSilu, gate, in[1]);
                    return gate;
                  });
}

TEST_F(Gradient, OfSelectionAndPlacement) {
  Draws draws(9);
  const Tensor x = draws.any_layout({4, 5}, DType::kF32);
  for (int dim = 0; dim < 2; ++dim) {
    const Tensor index = indices(draws, {3, 3}, 3);
    expect_gradient({x, index}, [=](const Inputs& in) { return gather(in[0], dim, in[1]); });
    expect_gradient({x, indices(draws, {6}, 4)},
                    [=](const Inputs& in) { return index_select(in[0], dim, in[1]); });
    const Tensor source = draws.any_layout({3, 3}, DType::kF32);
    for (const auto place : {scatter_in_place, scatter_add_in_place})
      expect_gradient({x, index, source}, [=](const Inputs& in) {
        Tensor to = scale(in[0], 2);
        place(to, dim, in[1], in[2]);
        return to;
      });
    Shape rows{4, 5};
    rows[dim] = 6;
    expect_gradient({x, indices(draws, {6}, 4), draws.any_layout(rows, DType::kF32)}, [=](const Inputs& in) {
      Tensor to = scale(in[0], 2);
      index_add_in_place(to, dim, in[1], in[2]);
      return to;
    });
    expect_gradient({x, draws.any_layout({4, 5}, DType::kF32)}, [=](const Inputs& in) {
      const std::vector<Tensor> parts =
          split(concat({in[0], in[1], in[0]}, dim), {3, x.dim(dim) * 3 - 3}, dim);
      return parts[1];
    });
    expect_gradient({x}, [=](const Inputs& in) { return cumulative_sum(in[0], dim); });
  }
  const Tensor condition = cast(indices(draws, {4, 1}, 2), DType::kBool);
  expect_gradient({x, draws.dense({5}, DType::kF32), condition},
                  [](const Inputs& in) { return where(in[2], in[0], in[1]); });
}

TEST_F(Gradient, OfTopValuesAndCasts) {
  Draws draws(10);
  std::vector<float> values(24);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7 % values.size());
  expect_gradient({Tensor::from(values, {3, 8})}, [](const Inputs& in) { return top_k(in[0], 3).values; });
  expect_same_gradient({draws.any_layout({4, 6}, DType::kF32)},
                       [](const Inputs& in) { return square(cast(in[0], DType::kBF16)); }, {1e-2, 1e-2});
  expect_same_gradient({draws.any_layout({4, 6}, DType::kBF16)},
                       [](const Inputs& in) { return square(cast(in[0], DType::kF32)); });
}

}  // namespace
}  // namespace martlet::ops::testing
