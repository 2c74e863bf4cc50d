#include "ops/cast.h"
#include "ops/gradient_testing.h"
#include "ops/layer_norm.h"
#include "ops/op_testing.h"
#include "ops/rms_norm.h"

namespace martlet::ops::testing {
namespace {

class NormTest : public OpTest {};

const Shape kShapes[] = {{2}, {64}, {5, 33}, {2, 3, 576}, {0, 8}, {3, 4500}, {70, 300}};

TEST_F(NormTest, MayRoundItsResultInTheSamePass) {
  Draws draws(9);
  const Tensor x = draws.any_layout({5, 70}, DType::kF32);
  const Tensor weight = draws.dense({70}, DType::kF32);
  for (const DType narrow : {DType::kBF16, DType::kF16}) {
    const auto norm = [narrow](const std::vector<Tensor>& in) {
      return rms_norm(in[0], in[1], 1e-5f, 0, narrow);
    };
    EXPECT_EQ(bits_of(norm({x, weight})), bits_of(cast(rms_norm(x, weight, 1e-5f), narrow)));
    expect_contract({x, weight}, norm, {2e-6, 2e-6});
    expect_same_gradient({x, weight}, norm, {1e-5, 1e-5});
  }
}

TEST_F(NormTest, RmsNormMatchesTheReference) {
  Draws draws(1);
  for (const DType dtype : kFloating) {
    for (const DType weight_dtype : {DType::kF32, DType::kBF16}) {
      for (const Shape& shape : kShapes) {
        SCOPED_TRACE(fmt::format("{} {}", name_of(dtype), shape.to_string()));
        const Tensor x = draws.any_layout(shape, dtype, 5);
        const Tensor weight = draws.any_layout({shape.dim(-1)}, weight_dtype);
        expect_contract({x, weight}, [](const std::vector<Tensor>& inputs) {
          return rms_norm(inputs[0], inputs[1], 1e-5f, 1.0f);
        });
        expect_contract({x},
                        [](const std::vector<Tensor>& inputs) { return rms_norm(inputs[0], {}, 1e-6f); });
      }
    }
  }
}

TEST_F(NormTest, AddRmsNormIsTheSumAndTheNormOfTheRoundedSum) {
  Draws draws(2);
  for (const DType dtype : kFloating) {
    for (const Shape& shape : kShapes) {
      const Tensor residual = draws.dense(shape, dtype, 3);
      const Tensor x = draws.any_layout(shape, dtype);
      const Tensor weight = draws.dense({shape.dim(-1)}, dtype);
      expect_contract({residual, x, weight}, [](const std::vector<Tensor>& inputs) {
        Tensor sum = inputs[0].clone();
        return add_rms_norm(sum, inputs[1], inputs[2], 1e-5f);
      });
      at_every_level([&] {
        Tensor sum = residual.clone();
        const Tensor norm = add_rms_norm(sum, x, weight, 1e-5f);
        EXPECT_EQ(bits_of(norm), bits_of(rms_norm(sum, weight, 1e-5f)));
      });
    }
  }
}

TEST_F(NormTest, AResidualThatIsAViewIsWrittenThroughIt) {
  Draws draws(5);
  for (const DType dtype : kFloating) {
    const Tensor whole = draws.dense({7, 90}, dtype);
    Tensor view = whole.slice(1, 1, 90, 2);
    const Tensor others = whole.slice(1, 0, 90, 2).clone();
    const Tensor x = draws.dense(view.shape(), dtype);
    Tensor sum = view.clone();
    const Tensor expected = add_rms_norm(sum, x, {}, 1e-5f);
    EXPECT_EQ(bits_of(add_rms_norm(view, x, {}, 1e-5f)), bits_of(expected));
    EXPECT_EQ(bits_of(view), bits_of(sum));
    EXPECT_EQ(bits_of(whole.slice(1, 0, 90, 2)), bits_of(others));
  }
}

TEST_F(NormTest, LayerNormMatchesTheReference) {
  Draws draws(3);
  for (const DType dtype : kFloating) {
    for (const Shape& shape : kShapes) {
      SCOPED_TRACE(fmt::format("{} {}", name_of(dtype), shape.to_string()));
      const Shape n{shape.dim(-1)};
      // A row of equal elements has no variance: what rounding leaves of it is not compared.
      Tensor x = draws.any_layout(shape, dtype, 5);
      if (x.strides()[x.rank() - 1] == 0) x = draws.dense(shape, dtype, 5);
      expect_contract({x, draws.any_layout(n, dtype), draws.dense(n, dtype)},
                      [](const std::vector<Tensor>& inputs) {
                        return layer_norm(inputs[0], inputs[1], inputs[2], 1e-5f);
                      },
                      {2e-6, 2e-6});
      expect_contract(
          {x, draws.dense(n, dtype)},
          [](const std::vector<Tensor>& inputs) { return layer_norm(inputs[0], {}, inputs[1], 1e-5f); },
          {2e-6, 2e-6});
      expect_contract({x},
                      [](const std::vector<Tensor>& inputs) { return layer_norm(inputs[0], {}, {}, 1e-5f); },
                      {2e-6, 2e-6});
    }
  }
}

TEST_F(NormTest, RowsDoNotDependOnEachOther) {
  Draws draws(4);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Tensor x = draws.dense({6, 997}, dtype, 2);
    const Tensor weight = draws.dense({997}, dtype);
    expect_rows_independent(x, [&](const Tensor& rows) { return rms_norm(rows, weight, 1e-5f); });
    expect_rows_independent(x, [&](const Tensor& rows) { return layer_norm(rows, weight, weight, 1e-5f); });
  }
}

TEST_F(NormTest, ErrorsNameTheOperationAndWhatItGot) {
  const Tensor x = Tensor::zeros({2, 3}, DType::kF32);
  const Tensor weight = Tensor::zeros({4}, DType::kF32);
  EXPECT_EQ(message_of([&] { rms_norm(x, weight, 1e-5f); }),
            "rms_norm takes weight of shape [3], got f32[4] on cpu");
  EXPECT_EQ(message_of([&] { layer_norm(x, {}, weight, 1e-5f); }),
            "layer_norm takes bias of shape [3], got f32[4] on cpu");
  EXPECT_EQ(message_of([&] { rms_norm(Tensor::zeros({}, DType::kF32), {}, 1e-5f); }),
            "rms_norm takes at least one dimension, got f32[] on cpu");
  Tensor repeated = x.expand({2, 2, 3});
  EXPECT_EQ(message_of([&] {
              add_rms_norm(repeated, x.expand({2, 2, 3}), {}, 1e-5f);
            }),
            "add_rms_norm cannot add to f32[2, 2, 3] on cpu: it is read-only");
}

}  // namespace
}  // namespace martlet::ops::testing
