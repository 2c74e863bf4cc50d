#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "autograd/leaf.h"
#include "autograd/recompute.h"
#include "autograd/record.h"
#include "base/error.h"
#include "ops/binary.h"
#include "ops/linear.h"
#include "ops/reduce.h"
#include "ops/unary.h"

namespace martlet::autograd {
namespace {

using ::testing::ElementsAre;

Tensor vector_of(const std::vector<float>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())});
}

Tensor leaf(const std::vector<float>& values) {
  Tensor x = vector_of(values);
  require_gradient(x);
  return x;
}

std::vector<float> gradient(const Tensor& x) {
  return gradient_of(x).to_vector<float>();
}

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(Tape, RecordsNothingWithoutALeaf) {
  const Tensor y = ops::add(vector_of({1}), ops::exp(vector_of({2})));
  EXPECT_EQ(y.node(), nullptr);
  EXPECT_EQ(waiting_backwards(), 0);
  EXPECT_EQ(message_of([&] { backward(y); }),
            "no gradient was recorded for f32[1] on cpu; nothing it was computed from requires one");
}

TEST(Tape, LeavesAddUpUntilTheyAreCleared) {
  const Tensor x = leaf({1, 2});
  for (int i = 0; i < 3; ++i) backward(ops::sum(ops::square(x)));
  EXPECT_THAT(gradient(x), ElementsAre(6, 12));
  clear_gradient(x);
  EXPECT_FALSE(gradient_of(x).defined());
  backward(ops::sum(x));
  EXPECT_THAT(gradient(x), ElementsAre(1, 1));
}

TEST(Tape, TakesTheGradientOfTheWhole) {
  const Tensor x = leaf({1, 2});
  backward(ops::square(x), vector_of({10, 100}));
  EXPECT_THAT(gradient(x), ElementsAre(20, 400));
  EXPECT_EQ(message_of([&] { backward(ops::square(x)); }),
            "backward of f32[2] on cpu takes the gradient of its elements; only a single one has 1");
  EXPECT_EQ(message_of([&] { backward(ops::square(x), vector_of({1})); }),
            "the backward of the whole gives f32[1] on cpu as the gradient of square f32[2] on cpu");
}

TEST(Tape, GradientsReachThroughEveryView) {
  Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3});
  require_gradient(x);
  const Tensor turned = x.transpose(0, 1).slice(0, 1, 3).unsqueeze(1).squeeze(1);  // [2, 2]: 2 5, 3 6
  const Tensor row = turned.select(0, 1).expand({4, 2}).contiguous().reshape({8});
  backward(row, vector_of({1, 10, 1, 10, 1, 10, 1, 10}));
  EXPECT_THAT(gradient(x), ElementsAre(0, 0, 4, 0, 0, 40));
  clear_gradient(x);
  const int order[] = {1, 0};
  backward(x.permute(order).clone().to(Device::kReference).to(Device::kCpu),
           Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {3, 2}));
  EXPECT_THAT(gradient(x), ElementsAre(1, 3, 5, 2, 4, 6));
}

TEST(Tape, SlicesOfOneValueShareOneSum) {
  const Tensor x = leaf({1, 2, 3, 4});
  const Tensor y = ops::scale(x, 1);
  const Tensor whole = ops::sum(y);
  backward(ops::add(ops::add(ops::sum(y.slice(0, 0, 3)), ops::sum(y.slice(0, 1, 4))), whole));
  EXPECT_THAT(gradient(x), ElementsAre(2, 3, 3, 2));
}

TEST(Tape, NoGradientAndDetachStopIt) {
  const Tensor x = leaf({3});
  {
    const NoGradient silence;
    EXPECT_FALSE(is_recording());
    EXPECT_EQ(ops::square(x).node(), nullptr);
    EXPECT_EQ(x.reshape({1, 1}).node(), nullptr);
    const WithGradient again;
    EXPECT_NE(ops::square(x).node(), nullptr);
  }
  EXPECT_TRUE(is_recording());
  backward(ops::sum(ops::multiply(x, ops::square(x).detach())));
  EXPECT_THAT(gradient(x), ElementsAre(9));
}

TEST(Tape, WhatItSavedIsFreedAndServesOnce) {
  const Tensor x = leaf({1, 2});
  Tensor y = ops::exp(x);
  const Tensor z = ops::sum(ops::multiply(y, y));
  EXPECT_EQ(waiting_backwards(), 3);
  backward(z);
  EXPECT_EQ(waiting_backwards(), 0);
  EXPECT_TRUE(y.owns_storage_alone());
  EXPECT_EQ(message_of([&] { backward(z); }),
            "the backward of sum f32[] on cpu was called before, and what it saved is freed; compute the "
            "value again");
}

TEST(Tape, ARecordedValueThatGoesFreesWhatItSaved) {
  const Tensor x = leaf({1});
  {
    Tensor y = x;
    for (int i = 0; i < 200000; ++i) y = ops::scale(y, 1);  // no recursion, whatever the length
    EXPECT_EQ(waiting_backwards(), 200000);
  }
  EXPECT_EQ(waiting_backwards(), 0);
}

TEST(Tape, OperationsInPlaceLeaveSavedValuesAlone) {
  const Tensor x = leaf({1, 2});
  Tensor y = ops::scale(x, 3);
  const Tensor kept = ops::square(y);
  ops::scale_in_place(y, 10);  // square has saved y
  EXPECT_THAT(kept.node() == nullptr ? std::vector<float>{} : y.to_vector<float>(), ElementsAre(30, 60));
  backward(ops::sum(ops::add(kept, y)));
  EXPECT_THAT(gradient(x), ElementsAre(2 * 3 * 3 * 1 + 30, 2 * 3 * 3 * 2 + 30));
}

TEST(Tape, OperationsInPlaceOverwriteWhatNobodyHolds) {
  const Tensor x = leaf({1, 2});
  Tensor y = ops::scale(x, 3);
  const float* place = y.data<float>();
  ops::scale_in_place(y, 2);
  ops::add_in_place(y, x);
  EXPECT_EQ(y.data<float>(), place);
  ops::unary_in_place({ops::Unary::kSquare}, y);  // needs its operand, so it cannot
  EXPECT_NE(y.data<float>(), place);
  backward(ops::sum(y));
  EXPECT_THAT(gradient(x), ElementsAre(2 * 7 * 7, 2 * 14 * 7));
}

TEST(Tape, AConstantThatIsSavedIsNotOverwrittenEither) {
  const Tensor x = leaf({1, 2});
  Tensor constant = vector_of({5, 7});
  const Tensor product = ops::multiply(x, constant);
  ops::scale_in_place(constant, 0);
  backward(ops::sum(product));
  EXPECT_THAT(gradient(x), ElementsAre(5, 7));
  Tensor alone = vector_of({1, 2});
  const Tensor view = alone.slice(0, 0, 1);
  ops::scale_in_place(alone, 4);  // nothing waits any more: views see it as ever
  EXPECT_THAT(view.to_vector<float>(), ElementsAre(4));
}

TEST(Tape, HooksRunWhenALeafIsComplete) {
  Tensor x = leaf({1, 2});
  const Tensor y = leaf({3, 4});
  std::vector<std::string> calls;
  on_gradient(x, [&](Tensor& sum) {
    calls.push_back("x");
    EXPECT_THAT(sum.to_vector<float>(), ElementsAre(3 + 1, 4 + 1));
    sum = {};
  });
  on_gradient(y, [&](Tensor& sum) {
    calls.push_back("y");
    ops::scale_in_place(sum, 2);
  });
  // x is used twice; its hook must see both.
  backward(ops::sum(ops::add(ops::multiply(x, y), x)));
  EXPECT_EQ(calls.size(), 2u);
  EXPECT_FALSE(gradient_of(x).defined());
  EXPECT_THAT(gradient(y), ElementsAre(2, 4));
}

TEST(Tape, AGradientHeldOutsideIsNotChanged) {
  const Tensor x = leaf({1});
  backward(ops::sum(x));
  const Tensor held = gradient_of(x);
  backward(ops::sum(x));
  EXPECT_THAT(held.to_vector<float>(), ElementsAre(1));
  EXPECT_THAT(gradient(x), ElementsAre(2));
}

TEST(Tape, RefusesWhatHasNoGradient) {
  Tensor ids = Tensor::from(std::vector<int64_t>{1}, {1});
  EXPECT_EQ(message_of([&] { require_gradient(ids); }),
            "a gradient is of f32, bf16 or f16 elements, got i64[1] on cpu");
  EXPECT_EQ(message_of([&] { gradient_of(vector_of({1})); }),
            "f32[1] on cpu is no leaf of the tape; call require_gradient on it first");
  EXPECT_EQ(message_of([&] {
              set_gradient(leaf({1}), vector_of({1, 2}));
            }),
            "the gradient of leaf f32[1] on cpu cannot be f32[2] on cpu");
}

/// Two layers with a parameter each, the second used twice; one operation in place.
struct Layers {
  Tensor first = leaf({0.5f, -1});
  Tensor second = leaf({2, 0.25f});

  Tensor layer(Tensor x, const Tensor& weight) const {
    const Tensor inner = ops::multiply(ops::silu(x), weight);
    ops::add_in_place(x, inner);
    return ops::multiply(x, second);
  }
};

TEST(Recompute, GivesTheSameBitsWithNothingSaved) {
  const Layers layers;
  const auto run = [&](bool again, const Tensor& x) {
    const auto call = [&](const Tensor& value, const Tensor& weight) {
      const std::function<Tensor(const std::vector<Tensor>&)> function =
          [&layers, weight](const std::vector<Tensor>& in) { return layers.layer(in[0], weight); };
      return again ? recompute(function, {value}) : function({value});
    };
    const Tensor y = call(call(x, layers.first), layers.second);
    EXPECT_EQ(waiting_backwards(), again ? 2 : 8);
    backward(ops::sum(y));
    std::vector<std::vector<float>> gradients{y.to_vector<float>(), gradient(x), gradient(layers.first),
                                              gradient(layers.second)};
    clear_gradient(layers.first);
    clear_gradient(layers.second);
    return gradients;
  };
  EXPECT_EQ(run(true, leaf({1.25f, -3})), run(false, leaf({1.25f, -3})));
}

TEST(Recompute, ReachesRecordedValuesFromOutsideAndNests) {
  const auto run = [](bool again) {
    const Tensor x = leaf({1, 2});
    const Tensor outside = ops::exp(x);
    int hooks = 0;
    on_gradient(x, [&](Tensor&) { ++hooks; });
    const auto inner = [&](const std::vector<Tensor>& in) { return ops::multiply(in[0], outside); };
    const auto outer = [&](const std::vector<Tensor>& in) {
      const Tensor half = ops::multiply(in[0], in[1]);
      return ops::add(again ? recompute(inner, {half}) : inner({half}), x);
    };
    const Tensor constant = vector_of({3, 5});
    backward(ops::sum(again ? recompute(outer, {x, constant}) : outer({x, constant})));
    EXPECT_EQ(hooks, 1);
    return gradient(x);
  };
  EXPECT_EQ(run(true), run(false));
}

TEST(Recompute, OfConstantsRecordsNothing) {
  const Tensor y = recompute([](const std::vector<Tensor>& in) { return ops::exp(in[0]); }, {vector_of({1})});
  EXPECT_EQ(y.node(), nullptr);
}

}  // namespace
}  // namespace martlet::autograd
