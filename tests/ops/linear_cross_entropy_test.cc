#include "ops/linear_cross_entropy.h"

#include <cmath>

#include "autograd/backward.h"
#include "autograd/leaf.h"
#include "base/thread_pool.h"
#include "ops/cast.h"
#include "ops/cross_entropy.h"
#include "ops/linear.h"
#include "ops/op_testing.h"
#include "ops/unary.h"

namespace martlet::ops {
namespace {

using testing::bits_of;
using testing::Draws;
using ::testing::HasSubstr;
using testing::message_of;

class LinearCrossEntropyTest : public testing::OpTest {};

struct Case {
  int64_t rows, columns, classes;
  float logit_scale = 1;
};

struct Drawn {
  Tensor x, w, targets;
};

Drawn drawn(Draws& draws, const Case& shape, DType dtype) {
  std::vector<int32_t> targets;
  for (int64_t i = 0; i < shape.rows; ++i)
    targets.push_back(draws.below(5) == 0 ? -100 : static_cast<int32_t>(draws.below(shape.classes)));
  targets[0] = 0;
  Drawn all{draws.dense({shape.rows, shape.columns}, dtype),
            draws.dense({shape.classes, shape.columns}, DType::kF32, 0.2),
            Tensor::from(targets, {shape.rows})};
  autograd::require_gradient(all.x);
  autograd::require_gradient(all.w);
  return all;
}

struct Results {
  Tensor loss, dx, dw;
};

Results composed(const Drawn& in, float logit_scale, float share) {
  const Tensor logits = scale(linear(in.x, Weight(in.w)), logit_scale);
  const Tensor loss = cross_entropy(logits, in.targets);
  autograd::backward(loss, Tensor::from(std::vector<float>{share}, {}));
  const Results results{loss.detach(), autograd::gradient_of(in.x).clone(),
                        autograd::gradient_of(in.w).clone()};
  autograd::clear_gradient(in.x);
  autograd::clear_gradient(in.w);
  return results;
}

Results fused(const Drawn& in, const LinearLossOptions& options, float share) {
  const Tensor loss = linear_cross_entropy(in.x, Weight(in.w), in.targets, options);
  autograd::backward(loss, Tensor::from(std::vector<float>{share}, {}));
  const Results results{loss.detach(), autograd::gradient_of(in.x).clone(),
                        autograd::gradient_of(in.w).clone()};
  autograd::clear_gradient(in.x);
  autograd::clear_gradient(in.w);
  return results;
}

double cosine(const Tensor& a, const Tensor& b) {
  const std::vector<float> left = cast(a, DType::kF32).to_vector<float>();
  const std::vector<float> right = cast(b, DType::kF32).to_vector<float>();
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < left.size(); ++i) {
    ab += double{left[i]} * right[i];
    aa += double{left[i]} * left[i];
    bb += double{right[i]} * right[i];
  }
  return ab / std::sqrt(aa * bb);
}

// The middle one takes more than one chunk of rows.
constexpr Case kCases[] = {{1, 3, 2}, {37, 20, 9, 0.5f}, {1200, 24, 5003}, {64, 48, 130}};

TEST_F(LinearCrossEntropyTest, HasTheLossAndTheGradientsOfTheTwoOperations) {
  Draws draws(1);
  ASSERT_LT(linear_cross_entropy_chunk(5003), 1200);
  for (const Case& shape : kCases) {
    SCOPED_TRACE(fmt::format("{} x {} x {}", shape.rows, shape.columns, shape.classes));
    const Drawn in = drawn(draws, shape, DType::kF32);
    const Results expected = composed(in, shape.logit_scale, 0.25f);
    const Results got = fused(in, {.logit_scale = shape.logit_scale}, 0.25f);
    EXPECT_EQ(bits_of(got.loss), bits_of(expected.loss));
    testing::expect_close(got.dx, expected.dx, {1e-8, 1e-4});
    testing::expect_close(got.dw, expected.dw, {1e-8, 1e-4});
  }
}

TEST_F(LinearCrossEntropyTest, InMixedPrecisionIsNearThem) {
  Draws draws(2);
  for (const Case& shape : kCases) {
    SCOPED_TRACE(fmt::format("{} x {} x {}", shape.rows, shape.columns, shape.classes));
    const Drawn in = drawn(draws, shape, DType::kBF16);
    const Results expected = composed(in, shape.logit_scale, 1);
    const Results got = fused(in, {.factors = DType::kBF16, .logit_scale = shape.logit_scale}, 1);
    testing::expect_close(got.loss, expected.loss, {2e-3, 2e-3});
    EXPECT_GT(cosine(got.dx, expected.dx), 0.999);
    EXPECT_GT(cosine(got.dw, expected.dw), 0.999);
  }
}

TEST_F(LinearCrossEntropyTest, InF16ItIsNearerAndLosesNoSmallGradient) {
  Draws draws(5);
  for (const Case& shape : kCases) {
    SCOPED_TRACE(fmt::format("{} x {} x {}", shape.rows, shape.columns, shape.classes));
    const Drawn in = drawn(draws, shape, DType::kF32);
    // A share as small as 2^-30: f16 would round every gradient of the mean to 0.
    const float share = 0x1p-30f;
    const Results expected = composed(in, shape.logit_scale, share);
    const Results got = fused(in, {.factors = DType::kF16, .logit_scale = shape.logit_scale}, share);
    testing::expect_close(got.loss, expected.loss, {1e-3, 1e-3});
    EXPECT_EQ(got.dx.dtype(), DType::kF32);
    EXPECT_GT(cosine(scale(got.dx, 0x1p30f), scale(expected.dx, 0x1p30f)), 0.99999);
    EXPECT_GT(cosine(scale(got.dw, 0x1p30f), scale(expected.dw, 0x1p30f)), 0.99999);
    testing::expect_close(scale(got.dw, 0x1p30f), scale(expected.dw, 0x1p30f), {2e-4, 2e-3});
  }
}

TEST_F(LinearCrossEntropyTest, DependsNotOnThreads) {
  Draws draws(3);
  const Drawn in = drawn(draws, {700, 40, 300}, DType::kF32);
  set_thread_count(1);
  const Results one = fused(in, {}, 1);
  set_thread_count(3);
  const Results three = fused(in, {}, 1);
  EXPECT_EQ(bits_of(one.loss), bits_of(three.loss));
  EXPECT_EQ(bits_of(one.dx), bits_of(three.dx));
  EXPECT_EQ(bits_of(one.dw), bits_of(three.dw));
}

TEST_F(LinearCrossEntropyTest, NothingToCountIsNanAndOutsideIsNamed) {
  const Tensor x = Tensor::zeros({2, 3}, DType::kF32);
  const Weight weight(Tensor::zeros({5, 3}, DType::kF32));
  const Tensor none = Tensor::from(std::vector<int32_t>{-100, -100}, {2});
  EXPECT_TRUE(std::isnan(linear_cross_entropy(x, weight, none, {}).to_vector<float>()[0]));
  const Tensor outside = Tensor::from(std::vector<int32_t>{1, 5}, {2});
  EXPECT_THAT(message_of([&] { linear_cross_entropy(x, weight, outside, {}); }),
              HasSubstr("target 5 at place 1, outside [0, 5)"));
}

}  // namespace
}  // namespace martlet::ops
