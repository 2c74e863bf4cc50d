#include "ops/cross_entropy.h"

#include <cmath>

#include "ops/op_testing.h"
#include "ops/softmax.h"

namespace martlet::ops::testing {
namespace {

class CrossEntropyTest : public OpTest {};

Tensor drawn_targets(Draws& draws, const Shape& shape, int64_t classes) {
  std::vector<int32_t> targets;
  for (int64_t i = 0; i < shape.element_count(); ++i)
    targets.push_back(draws.below(5) == 0 ? -100 : static_cast<int32_t>(draws.below(classes)));
  return Tensor::from(targets, shape);
}

constexpr LossReduction kAll[] = {LossReduction::kMean, LossReduction::kSum, LossReduction::kNone};

TEST_F(CrossEntropyTest, MatchesTheReference) {
  Draws draws(1);
  for (const DType dtype : kFloating) {
    for (const Shape& shape :
         {Shape{3, 1}, Shape{5}, Shape{5, 33}, Shape{0, 4}, Shape{2, 3, 5000}, Shape{70, 700}}) {
      for (const LossReduction reduction : kAll) {
        SCOPED_TRACE(fmt::format("{} {}", name_of(dtype), shape.to_string()));
        expect_contract(
            {draws.any_layout(shape, dtype, 5), drawn_targets(draws, shape.without(-1), shape.dim(-1))},
            [reduction](const std::vector<Tensor>& inputs) {
              return cross_entropy(inputs[0], inputs[1], reduction);
            },
            {1e-6, 3e-7});
      }
    }
  }
}

TEST_F(CrossEntropyTest, ARowsLossIsItsOwn) {
  Draws draws(2);
  const Tensor logits = draws.dense({6, 5003}, DType::kBF16, 3);
  const Tensor targets = Tensor::from(std::vector<int64_t>{1, 5002, 4096, 0, 77, 4095}, {6});
  at_every_level([&] {
    const Tensor together = cross_entropy(logits, targets, LossReduction::kNone);
    for (int64_t row = 0; row < 6; ++row)
      EXPECT_EQ(bits_of(cross_entropy(logits.slice(0, row, row + 1), targets.slice(0, row, row + 1))),
                bits_of(together.slice(0, row, row + 1)));
  });
}

TEST_F(CrossEntropyTest, NothingToCountIsNan) {
  const Tensor targets = Tensor::from(std::vector<int64_t>{7, 7}, {2});
  const Tensor logits = Tensor::zeros({2, 3}, DType::kF32);
  EXPECT_TRUE(std::isnan(cross_entropy(logits, targets, LossReduction::kMean, 7).to_vector<float>()[0]));
  EXPECT_EQ(cross_entropy(logits, targets, LossReduction::kSum, 7).to_vector<float>()[0], 0.0f);
}

TEST_F(CrossEntropyTest, ErrorsNameTheTarget) {
  const Tensor logits = Tensor::zeros({2, 3}, DType::kF32);
  EXPECT_EQ(message_of([&] {
              cross_entropy(logits, Tensor::from(std::vector<int64_t>{0, 3}, {2}));
            }),
            "cross_entropy has target 3 at place 1, outside [0, 3) and not -100, which is ignored");
  EXPECT_EQ(message_of([&] { cross_entropy(logits, Tensor::zeros({3}, DType::kI64)); }),
            "cross_entropy takes targets of shape [2], got i64[3] on cpu");
}

}  // namespace
}  // namespace martlet::ops::testing
