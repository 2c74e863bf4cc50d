// Products of bf16 weights with activations rounded to bf16.
#include "ops/cpu/linear_bf16.h"

#include <cmath>
#include <limits>

#include "autograd/backward.h"
#include "autograd/leaf.h"
#include "base/thread_pool.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/linear.h"
#include "ops/op_testing.h"
#include "ops/reduce.h"

namespace martlet::ops {
namespace {

using testing::at_every_level;
using testing::bits_of;
using testing::Draws;
using testing::expect_close;

class LinearBF16Test : public testing::OpTest {};

Weight drawn(Draws& draws, int64_t rows, int64_t columns) {
  return Weight(draws.dense({rows, columns}, DType::kBF16)).taking_bf16();
}

Tensor rounded(const Tensor& x) {
  return cast(cast(x, DType::kBF16), DType::kF32);
}

TEST_F(LinearBF16Test, OnlyBF16WeightsTakeIt) {
  Draws draws(1);
  EXPECT_TRUE(drawn(draws, 3, 4).takes_bf16());
  EXPECT_TRUE(drawn(draws, 3, 4).rows(1, 2).takes_bf16());
  EXPECT_FALSE(Weight(draws.dense({3, 4}, DType::kF32)).taking_bf16().takes_bf16());
  EXPECT_FALSE(testing::drawn_weight(draws, *find_packed_format("q4_0"), 3, 64).taking_bf16().takes_bf16());
}

TEST_F(LinearBF16Test, AgreesWithTheDefinition) {
  Draws draws(2);
  for (const int64_t tokens : {1, 2, 3, 15, 16, 17, 31, 32, 33, 48, 49, 100, 300}) {
    const int64_t rows = draws.between(1, 200), columns = draws.between(1, 700);
    const Weight weight = drawn(draws, rows, columns);
    const Tensor x = draws.dense({tokens, columns}, DType::kF32);
    const Tensor bias = draws.dense({rows}, DType::kF32);
    const Tensor expected =
        linear(x.to(Device::kReference), weight.to(Device::kReference), bias.to(Device::kReference))
            .to(Device::kCpu);
    // The weight's values times x that is bf16 already: rounding it again changes nothing.
    expect_close(linear(rounded(x), Weight(weight.dense()), bias), expected, {1e-5, 2e-5});
    at_every_level([&] {
      SCOPED_TRACE(fmt::format("{} tokens, {} rows, {} columns", tokens, rows, columns));
      expect_close(linear(x, weight, bias), expected, {1e-5, 1e-4});
    });
  }
}

TEST_F(LinearBF16Test, AnyNumberOfRowsAndThreadsGivesTheSameBits) {
  Draws draws(3);
  for (const auto& [rows, columns] :
       {std::pair<int64_t, int64_t>{320, 544}, {100, 301}, {7, 64}, {600, 32}}) {
    const Weight weight = drawn(draws, rows, columns);
    const Tensor x = draws.dense({300, columns}, DType::kF32);
    at_every_level([&, &all_columns = columns] {
      set_thread_count(1);
      const Tensor expected = linear(x, weight);
      for (const int threads : {1, 2, 3}) {
        set_thread_count(threads);
        EXPECT_EQ(bits_of(linear(x, weight)), bits_of(expected)) << threads << " threads";
        for (int64_t count = 1; count <= 300; count += count < 36 ? 1 : 37) {
          const int64_t at = draws.below(301 - count);
          EXPECT_EQ(bits_of(linear(x.slice(0, at, at + count), weight)),
                    bits_of(expected.slice(0, at, at + count)))
              << count << " rows, " << threads << " threads, " << all_columns << " columns";
        }
      }
    });
  }
}

/// The sum that linear_bf16.h tells.
float sum_of_steps(const float* x, const float* w, int64_t columns) {
  float sum = 0;
  for (int64_t step = 0; step < columns; step += 32) {
    float halves[2] = {0, 0};
    for (int64_t k = step; k < std::min(columns, step + 32); ++k)
      halves[k % 2] = std::fma(x[k], w[k], halves[k % 2]);
    sum += halves[0] + halves[1];
  }
  return sum;
}

TEST_F(LinearBF16Test, TilesSumEachStepsEvenAndOddColumnsInOrder) {
  if (!cpu::has_bf16_tiles()) GTEST_SKIP() << "this processor has no tiles of bf16";
  Draws draws(4);
  const int64_t rows = 70, columns = 555;
  const Weight weight = drawn(draws, rows, columns);
  const Tensor w = weight.unpack();
  for (const int64_t tokens : {1, 5, 20, 70}) {
    const Tensor x = draws.dense({tokens, columns}, DType::kF32);
    const Tensor factor = rounded(x), y = linear(x, weight);
    for (int64_t token = 0; token < tokens; ++token)
      for (int64_t row = 0; row < rows; ++row)
        ASSERT_EQ(y.data<float>()[token * rows + row], sum_of_steps(factor.data<float>() + token * columns,
                                                                    w.data<float>() + row * columns, columns))
            << "token " << token << " of " << tokens << ", row " << row;
  }
}

TEST_F(LinearBF16Test, ProductsTogetherAndAddedAreThoseOfEach) {
  Draws draws(5);
  const Weight first = drawn(draws, 70, 200), second = drawn(draws, 9, 200), third = drawn(draws, 256, 200);
  const Weight plain(draws.dense({33, 200}, DType::kF32));
  const Tensor bias = draws.dense({9}, DType::kF32);
  at_every_level([&] {
    for (const int64_t tokens : {1, 20, 90}) {
      const Tensor x = draws.dense({tokens, 200}, DType::kF32);
      for (const Weight* last : {&third, &plain}) {
        const std::array projections{Projection{&first}, Projection{&second, bias}, Projection{last}};
        const std::vector<Tensor> all = linear_together(x, projections);
        EXPECT_EQ(bits_of(all[0]), bits_of(linear(x, first)));
        EXPECT_EQ(bits_of(all[1]), bits_of(linear(x, second, bias)));
        EXPECT_EQ(bits_of(all[2]), bits_of(linear(x, *last)));
      }
      const Tensor before = draws.dense({tokens, 9}, DType::kF32);
      Tensor sum = before.clone();
      Tensor expected = before.clone();
      add_linear_in_place(sum, x, second, bias);
      add_in_place(expected, linear(x, second, bias));
      EXPECT_EQ(bits_of(sum), bits_of(expected));
    }
  });
}

TEST_F(LinearBF16Test, OfANormGivesTheBitsOfNormThenProduct) {
  Draws draws(8);
  for (const int64_t columns : {64, 300, 1000}) {
    const Weight first = drawn(draws, 70, columns), second = drawn(draws, 9, columns);
    const std::array projections{Projection{&first}, Projection{&second}};
    const RmsNormParameters norm{draws.dense({columns}, DType::kF32), 1e-5f, 1.0f};
    for (const int64_t tokens : {1, 5, 17, 50}) {
      const Tensor x = draws.dense({tokens, columns}, DType::kF32);
      at_every_level([&] {
        const Tensor normed = rms_norm(x, norm.weight, norm.eps, norm.weight_offset);
        const std::vector<Tensor> together = linear_together(x, projections, norm);
        EXPECT_EQ(bits_of(together[0]), bits_of(linear(normed, first)));
        EXPECT_EQ(bits_of(together[1]), bits_of(linear(normed, second)));
      });
    }
  }
}

TEST_F(LinearBF16Test, OfXInBF16TheResultIsRoundedToo) {
  Draws draws(9);
  const Weight weight = drawn(draws, 40, 200);
  const Tensor bias = draws.dense({40}, DType::kF32);
  for (const int64_t tokens : {1, 40}) {
    const Tensor x = draws.dense({tokens, 200}, DType::kBF16);
    at_every_level([&] {
      const Tensor y = linear(x, weight, bias);
      EXPECT_EQ(y.dtype(), DType::kBF16);
      expect_close(cast(y, DType::kF32), linear(cast(x, DType::kF32), weight, bias), {1e-2, 1e-2});
    });
  }
}

TEST_F(LinearBF16Test, BesideInt8ProductsTheGateAndTheNormAreThoseOfEach) {
  Draws draws(10);
  const Weight first = drawn(draws, 48, 256), second = drawn(draws, 48, 256);
  const Weight packed = testing::drawn_weight(draws, *find_packed_format("q4_0"), 48, 256).interleaved();
  const RmsNormParameters norm{draws.dense({256}, DType::kF32), 1e-5f, 0.0f};
  for (const int64_t tokens : {2, 60}) {
    const Tensor x = draws.dense({tokens, 256}, DType::kF32);
    at_every_level([&] {
      const Tensor normed = rms_norm(x, norm.weight, norm.eps);
      for (const Weight* up : {&second, &packed}) {
        const Tensor joined = gated_linear(Unary::kSilu, x, {&first}, {up}, norm);
        Tensor gate = linear(normed, first);
        gated_in_place(Unary::kSilu, gate, linear(normed, *up));
        EXPECT_EQ(bits_of(joined), bits_of(gate));
        const std::vector<Tensor> both =
            linear_together(x, std::array{Projection{up}, Projection{&first}}, norm);
        EXPECT_EQ(bits_of(both[0]), bits_of(linear(normed, *up)));
        EXPECT_EQ(bits_of(both[1]), bits_of(linear(normed, first)));
      }
    });
  }
}

TEST_F(LinearBF16Test, TheGradientOfXIsThatOfTheWeightsValues) {
  Draws draws(11);
  const Weight weight = drawn(draws, 20, 64);
  const auto gradient = [&](const Weight& of) {
    Tensor x = draws.dense({3, 64}, DType::kF32);
    autograd::require_gradient(x);
    autograd::backward(sum(linear(x, of), {0, 1}));
    return bits_of(autograd::gradient_of(x));
  };
  EXPECT_EQ(gradient(weight), gradient(Weight(weight.dense())));
}

TEST_F(LinearBF16Test, WhatIsNotFiniteStaysInItsRow) {
  Draws draws(6);
  const Weight weight = drawn(draws, 40, 100);
  for (const int64_t tokens : {3, 50})
    for (const float bad : {std::numeric_limits<float>::infinity(), NAN, 3.4e38f}) {
      Tensor x = draws.dense({tokens, 100}, DType::kF32);
      at_every_level([&] {
        const Tensor clean = linear(x, weight);
        Tensor changed = x.clone();
        changed.mutable_data<float>()[100 + 99] = bad;
        const Tensor y = linear(changed, weight);
        EXPECT_EQ(bits_of(y.slice(0, 0, 1)), bits_of(clean.slice(0, 0, 1)));
        EXPECT_EQ(bits_of(y.slice(0, 2, tokens)), bits_of(clean.slice(0, 2, tokens)));
        EXPECT_FALSE(std::isfinite(y.data<float>()[40])) << bad;  // 3.4e38 rounds to infinity
      });
    }
}

TEST_F(LinearBF16Test, NothingToMultiplyGivesTheBias) {
  Draws draws(7);
  const Tensor bias = draws.dense({5}, DType::kF32);
  at_every_level([&] {
    for (const int64_t tokens : {0, 1, 40}) {
      const Tensor y = linear(Tensor::zeros({tokens, 0}, DType::kF32), drawn(draws, 5, 0), bias);
      for (int64_t i = 0; i < tokens * 5; ++i) EXPECT_EQ(y.data<float>()[i], bias.data<float>()[i % 5]);
    }
  });
}

}  // namespace
}  // namespace martlet::ops
