#include "ops/activation.h"

#include "ops/op_testing.h"

namespace martlet::ops::testing {
namespace {

class ActivationTest : public OpTest {};

TEST_F(ActivationTest, GatesMatchTheReference) {
  Draws draws(1);
  for (const Unary activation : {Unary::kSilu, Unary::kGelu, Unary::kGeluTanh, Unary::kRelu}) {
    for (const DType dtype : kFloating) {
      SCOPED_TRACE(fmt::format("{} {}", name_of(activation), name_of(dtype)));
      for (const Shape& shape : {Shape{1}, Shape{0, 4}, Shape{5, 33}, Shape{3, 1500}, Shape{70, 1001}}) {
        expect_contract(
            {draws.any_layout(shape, dtype, 3), draws.any_layout(shape, dtype)},
            [&](const std::vector<Tensor>& inputs) { return gated(activation, inputs[0], inputs[1]); },
            {6e-7, 1e-7});
      }
    }
  }
}

TEST_F(ActivationTest, OneTensorOfBothHalvesGivesTheSameBits) {
  Draws draws(2);
  for (const DType dtype : kFloating) {
    const Tensor both = draws.dense({7, 90}, dtype, 3);
    const Tensor expected = swiglu(both.slice(1, 0, 45), both.slice(1, 45, 90));
    EXPECT_EQ(bits_of(gated(Unary::kSilu, both)), bits_of(expected));
    Tensor gate = both.slice(1, 0, 45);
    gated_in_place(Unary::kSilu, gate, both.slice(1, 45, 90));
    EXPECT_EQ(bits_of(gate), bits_of(expected));
  }
}

TEST_F(ActivationTest, RowsDoNotDependOnEachOther) {
  Draws draws(3);
  expect_rows_independent(draws.dense({5, 2 * 1037}, DType::kBF16),
                          [](const Tensor& x) { return gated(Unary::kGelu, x); });
}

TEST_F(ActivationTest, NamesOfConfigsAreKnown) {
  EXPECT_EQ(find_activation("gelu_pytorch_tanh"), Unary::kGeluTanh);
  EXPECT_EQ(find_activation("relu2"), Unary::kReluSquared);
  EXPECT_EQ(find_activation("softsign"), std::nullopt);
  EXPECT_THAT(activation_names(), ::testing::HasSubstr("silu, swish"));
}

TEST_F(ActivationTest, ErrorsNameWhatWasExpected) {
  EXPECT_EQ(message_of([] {
              gated(Unary::kSilu, Tensor::zeros({2, 3}, DType::kF32));
            }),
            "gated takes gate and up side by side, an even last dimension, got f32[2, 3] on cpu");
  EXPECT_EQ(message_of([] {
              swiglu(Tensor::zeros({2, 3}, DType::kF32), Tensor::zeros({2, 4}, DType::kF32));
            }),
            "gated takes up of shape [2, 3], got f32[2, 4] on cpu");
}

}  // namespace
}  // namespace martlet::ops::testing
