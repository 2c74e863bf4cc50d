// Products of interleaved weights with activations rounded to int8.
#include <cmath>
#include <limits>

#include "autograd/backward.h"
#include "autograd/leaf.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/embedding.h"
#include "ops/interleaved_testing.h"
#include "ops/linear.h"
#include "ops/reduce.h"

namespace martlet::ops {
namespace {

using testing::at_every_level;
using testing::bits_of;
using testing::drawn_columns;
using testing::drawn_weight;
using testing::Draws;
using testing::expect_close;
using testing::for_every_form;
using testing::for_two_codes;
using testing::Form;
using ::testing::HasSubstr;
using testing::message_of;

class LinearInt8Test : public testing::OpTest {};

Tensor on_reference(const Tensor& x, const Weight& weight, const Tensor& bias) {
  return linear(x.to(Device::kReference), weight.to(Device::kReference), bias.to(Device::kReference))
      .to(Device::kCpu);
}

TEST_F(LinearInt8Test, AnInterleavedWeightHoldsTheSameValues) {
  for_every_form(1, [](Draws& draws, const Form& form) {
    for (const int64_t rows : {1, 15, 16, 17, 50}) {
      const Weight weight = drawn_weight(draws, form.format, rows, drawn_columns(draws, form.format));
      const Weight interleaved = form.interleaved(weight);
      EXPECT_TRUE(interleaved.is_interleaved());
      EXPECT_EQ(interleaved.shape(), weight.shape());
      EXPECT_EQ(interleaved.type_name(), weight.type_name());
      EXPECT_EQ(bits_of(interleaved.unpack()), bits_of(weight.unpack())) << rows << " rows";
      const std::vector<int32_t> ids{static_cast<int32_t>(rows - 1), 0, static_cast<int32_t>(rows / 2)};
      EXPECT_EQ(bits_of(embedding(ids, interleaved)), bits_of(embedding(ids, weight)));
    }
  });
}

TEST_F(LinearInt8Test, NoFormatGrowsByMoreThanPadding) {
  for (const InterleavedFormat* format : interleaved_formats())
    for (const int64_t columns : {256, 2048, 5632})
      EXPECT_LE(static_cast<double>(format->group_bytes(columns)),
                1.01 * static_cast<double>(kGroupRows * format->source->row_bytes(columns)))
          << format->source->name;
}

// Integer sums are exact: what is left is the rounding of a float chain as long as the blocks are many.
TEST_F(LinearInt8Test, AgreesWithTheDefinition) {
  for_every_form(2, [](Draws& draws, const Form& form) {
    for (const int64_t tokens : {1, 2, 3, 8, 12, 13, 25, 40}) {
      const int64_t rows = draws.between(1, 50), columns = drawn_columns(draws, form.format);
      const Weight weight = form.drawn(draws, rows, columns);
      const Tensor x = draws.dense({tokens, columns}, DType::kF32);
      const Tensor bias = draws.dense({rows}, DType::kF32);
      const Tensor expected = on_reference(x, weight, bias);
      float most = 0;
      for (const float value : expected.to_vector<float>()) most = std::max(most, std::fabs(value));
      at_every_level([&] {
        SCOPED_TRACE(fmt::format("{} tokens, {} rows, {} columns", tokens, rows, columns));
        expect_close(linear(x, weight, bias), expected, {2e-6, 2e-6 * most});
      });
    }
  });
}

TEST_F(LinearInt8Test, EveryKernelNumberOfRowsAndThreadsGivesTheSameBits) {
  for_every_form(3, [](Draws& draws, const Form& form) {
    const int64_t rows = draws.between(100, 300), columns = drawn_columns(draws, form.format);
    const Weight weight = form.drawn(draws, rows, columns);
    const Tensor x = draws.dense({70, columns}, DType::kF32);
    set_thread_count(1);
    const Tensor expected = linear(x, weight);
    at_every_level([&] {
      for (const int threads : {1, 2, 3}) {
        set_thread_count(threads);
        EXPECT_EQ(bits_of(linear(x, weight)), bits_of(expected)) << threads << " threads";
        // On two threads every number of rows that there is a path for.
        for (int64_t count = 1; count <= 70; count += threads == 2 ? 1 : 11) {
          const int64_t at = draws.below(71 - count);
          EXPECT_EQ(bits_of(linear(x.slice(0, at, at + count), weight)),
                    bits_of(expected.slice(0, at, at + count)))
              << count << " rows, " << threads << " threads";
        }
      }
    });
  });
}

TEST_F(LinearInt8Test, ManyRowsInSeveralBlocksGiveTheBitsOfEachAlone) {
  Draws draws(4);
  const Weight weight = drawn_weight(draws, *find_packed_format("q4_k"), 33, 4096).interleaved();
  const Tensor x = draws.dense({300, 4096}, DType::kF32);
  const Tensor y = linear(x, weight);
  for (const int64_t row : {0, 1, 127, 128, 255, 299})
    EXPECT_EQ(bits_of(linear(x.slice(0, row, row + 1), weight)), bits_of(y.slice(0, row, row + 1)));
}

TEST_F(LinearInt8Test, ProductsTogetherAreThoseOfEach) {
  Draws draws(5);
  for (const auto& [first_format, second_format] :
       {std::pair{"q4_k", "q6_k"}, {"q4_k", "q5_k"}, {"q4_1", "int4_zero"}, {"q4_0", "q4_1"}}) {
    const Weight first = drawn_weight(draws, *find_packed_format(first_format), 40, 512).interleaved();
    const Weight second = drawn_weight(draws, *find_packed_format(second_format), 24, 512).interleaved();
    const Weight third = drawn_weight(draws, *find_packed_format("q8_0"), 7, 512).interleaved();
    const Weight plain = drawn_weight(draws, *find_packed_format("q8_0"), 9, 512);
    const Tensor bias = draws.dense({24}, DType::kF32);
    for (const int64_t tokens : {1, 14, 25, 70}) {
      const Tensor x = draws.dense({tokens, 512}, DType::kF32);
      for (const Weight* last : {&third, &plain}) {
        const Projection projections[] = {{&first}, {&second, bias}, {last}};
        const std::vector<Tensor> together = linear_together(x, projections);
        EXPECT_EQ(bits_of(together[0]), bits_of(linear(x, first)));
        EXPECT_EQ(bits_of(together[1]), bits_of(linear(x, second, bias)));
        EXPECT_EQ(bits_of(together[2]), bits_of(linear(x, *last)));
      }
    }
  }
}

TEST_F(LinearInt8Test, AProductIsAddedToWhatStandsThere) {
  for_every_form(6, [](Draws& draws, const Form& form) {
    for (const int64_t tokens : {1, 7, 40}) {
      const int64_t rows = draws.between(1, 50), columns = drawn_columns(draws, form.format);
      const Weight weight = form.drawn(draws, rows, columns);
      const Tensor x = draws.dense({tokens, columns}, DType::kF32);
      const Tensor before = draws.dense({tokens, rows}, DType::kF32);
      for (const Tensor& bias : {Tensor(), draws.dense({rows}, DType::kF32)}) {
        Tensor expected = before.clone();
        add_in_place(expected, linear(x, weight, bias));
        at_every_level([&] {
          Tensor sum = before.clone();
          add_linear_in_place(sum, x, weight, bias);
          EXPECT_EQ(bits_of(sum), bits_of(expected)) << tokens << " tokens, " << rows << " rows";
        });
      }
    }
  });
}

TEST_F(LinearInt8Test, AddingOverXItselfOrStridedRowsGivesTheSameBits) {
  Draws draws(7);
  const Weight weight = drawn_weight(draws, *find_packed_format("q8_0"), 64, 64).interleaved();
  const Tensor x = draws.dense({5, 64}, DType::kF32);
  Tensor expected = x.clone();
  add_in_place(expected, linear(x, weight));
  Tensor same = x.clone();
  add_linear_in_place(same, same, weight);
  EXPECT_EQ(bits_of(same), bits_of(expected));
  Tensor wide = draws.dense({5, 128}, DType::kF32);
  Tensor part = wide.slice(1, 0, 64);
  part.copy_elements(x);
  add_linear_in_place(part, x, weight);
  EXPECT_EQ(bits_of(part.contiguous()), bits_of(expected));
  Tensor narrow = draws.dense({5, 63}, DType::kF32);
  EXPECT_THAT(message_of([&] { add_linear_in_place(narrow, x, weight); }), HasSubstr("[5, 63]"));
}

TEST_F(LinearInt8Test, AddingWhereAGradientIsRecordedGivesItThatOfTheSum) {
  Draws draws(8);
  const Weight weight = drawn_weight(draws, *find_packed_format("q4_0"), 32, 64).interleaved();
  Tensor x = draws.dense({3, 64}, DType::kF32), total = draws.dense({3, 32}, DType::kF32);
  autograd::require_gradient(x);
  Tensor expected = total.clone();
  add_in_place(expected, linear(x, weight));
  add_linear_in_place(total, x, weight);
  EXPECT_EQ(bits_of(total.detach()), bits_of(expected.detach()));
  autograd::backward(sum(total));
  const std::vector<float> columns = sum(weight.unpack(), {0}).to_vector<float>();
  const std::vector<float> gradient = autograd::gradient_of(x).to_vector<float>();
  double most = 0;
  for (const float value : weight.unpack().to_vector<float>())
    most = std::max(most, std::fabs(double{value}));
  for (size_t i = 0; i < gradient.size(); ++i) EXPECT_NEAR(gradient[i], columns[i % 64], 32 * 1e-6 * most);
}

/// What rounding to half a step may change of each output, and the float chain.
std::vector<double> rounding_bounds(const Tensor& x, const Weight& weight) {
  const ActivationForm form = weight.interleaved_format().activations();
  const std::vector<float> values = x.to_vector<float>(), w = weight.unpack().to_vector<float>();
  const auto columns = static_cast<size_t>(weight.columns());
  const auto block = static_cast<size_t>(form.scale_columns());
  std::vector<double> bounds;
  for (int64_t token = 0; token < x.dim(0); ++token)
    for (int64_t row = 0; row < weight.rows(); ++row) {
      double bound = 0;
      for (size_t first = 0; first < columns; first += block) {
        double greatest = 0, weights = 0, products = 0;
        for (size_t k = first; k < first + block; ++k) {
          const double value = std::fabs(values[static_cast<size_t>(token) * columns + k]);
          const double factor = std::fabs(w[static_cast<size_t>(row) * columns + k]);
          greatest = std::max(greatest, value);
          weights += factor;
          products += value * factor;
        }
        bound += 0.51 * greatest / static_cast<double>(form.steps()) * weights + 2e-6 * products;
      }
      bounds.push_back(bound);
    }
  return bounds;
}

// One code: within 1/254 of a block's greatest value, 1/240 for plain codes of four bits. Two codes: within
// 1/65024 of a block's greatest value of what f32 activations give.
TEST_F(LinearInt8Test, NoActivationIsRoundedByMoreThanHalfAStep) {
  for_every_form(12, [](Draws& draws, const Form& form) {
    const int64_t columns = drawn_columns(draws, form.format);
    const Weight plain = drawn_weight(draws, form.format, 33, columns);
    const Weight weight = form.interleaved(plain);
    const Tensor x = draws.dense({5, columns}, DType::kF32);
    const std::vector<float> exact =
        on_reference(x, plain, Tensor::zeros({33}, DType::kF32)).to_vector<float>();
    const std::vector<double> bounds = rounding_bounds(x, weight);
    at_every_level([&] {
      const std::vector<float> y = linear(x, weight).to_vector<float>();
      for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(y[i], exact[i], bounds[i]) << i;
    });
  });
}

/// Rows of extremes: one sign, signs that change with every column, group of four, half of a block or block;
/// then the greatest in one column of 32 alone, among small ones.
Tensor extreme_rows(int64_t count, int64_t columns) {
  std::vector<float> values;
  for (int64_t row = 0; row < count; ++row)
    for (int64_t k = 0; k < columns; ++k) {
      const int64_t by[] = {columns, 1, 4, 16, 32};
      const float sign = row % 2 == 0 ? 1.0f : -1.0f;
      const int64_t only = row - 10;
      if (only < 0)
        values.push_back(k / by[row / 2] % 2 == 0 ? sign : -sign);
      else
        values.push_back(k % 32 == only % 32 ? sign : 0.3f * sign);
    }
  return Tensor::from(values, {count, columns});
}

/// Every stored bit set or clear, activations all at their greatest: nothing may saturate on the way.
TEST_F(LinearInt8Test, TheGreatestCodesAndActivationsDoNotSaturate) {
  for_every_form(6, [](Draws&, const Form& form) {
    const int64_t columns = 512;
    const PackedFormat& format = form.format;
    for (const uint8_t fill : {0x00, 0xff, 0x80, 0x7f}) {
      std::vector<uint8_t> bytes(static_cast<size_t>(format.row_bytes(columns)), fill);
      // Scales of 1 where f16 numbers stand, so that no infinity hides a sum.
      const int64_t halves = format.name == "q4_0" || format.name == "q5_0" || format.name == "q8_0" ||
                                     format.name == "iq4_nl" || format.name == "q6_k" ||
                                     format.name == "int4_zero"
                                 ? 1
                                 : 2;
      for (int64_t block = 0; block < columns / format.block_elements; ++block)
        for (int64_t half = 0; half < halves; ++half) {
          const int64_t at = format.name == "q6_k" ? 208 : 2 * half;
          bytes[static_cast<size_t>(block * format.block_bytes + at)] = 0x00;
          bytes[static_cast<size_t>(block * format.block_bytes + at + 1)] = 0x3c;
        }
      const Weight weight =
          form.interleaved(Weight(format, Tensor::from(bytes, {1, format.row_bytes(columns)}), columns));
      const Tensor x = extreme_rows(42, columns);
      const Tensor expected = on_reference(x, weight, Tensor::zeros({1}, DType::kF32));
      float most = 0;
      for (const float value : expected.to_vector<float>()) most = std::max(most, std::fabs(value));
      at_every_level([&] {
        const Tensor y = linear(x, weight);
        expect_close(y, expected, {1e-6, 1e-6 * most});
        for (int64_t row = 0; row < x.dim(0); ++row)
          EXPECT_EQ(bits_of(linear(x.slice(0, row, row + 1), weight)), bits_of(y.slice(0, row, row + 1)));
      });
    }
  });
}

TEST_F(LinearInt8Test, WhatIsNotFiniteGivesNanInItsRowAlone) {
  for_every_form(7, [](Draws& draws, const Form& form) {
    const Weight weight = form.drawn(draws, 20, 512);
    for (const int64_t rows : {3, 40})
      for (const float bad :
           {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        std::vector<float> values = draws.dense({rows, 512}, DType::kF32).to_vector<float>();
        const Tensor good = linear(Tensor::from(values, {rows, 512}), weight);
        values[512 + 300] = bad;
        at_every_level([&] {
          const Tensor y = linear(Tensor::from(values, {rows, 512}), weight);
          for (const float value : y.slice(0, 1, 2).to_vector<float>()) EXPECT_TRUE(std::isnan(value));
          EXPECT_EQ(bits_of(y.slice(0, 0, 1)), bits_of(good.slice(0, 0, 1)));
          EXPECT_EQ(bits_of(y.slice(0, 2, rows)), bits_of(good.slice(0, 2, rows)));
        });
      }
  });
}

TEST_F(LinearInt8Test, ZerosGiveTheBias) {
  Draws draws(8);
  const Weight weight = drawn_weight(draws, *find_packed_format("q5_1"), 9, 64).interleaved();
  const Tensor bias = draws.dense({9}, DType::kF32);
  at_every_level([&] {
    const std::vector<float> y = linear(Tensor::zeros({1, 64}, DType::kF32), weight, bias).to_vector<float>();
    EXPECT_EQ(y, bias.to_vector<float>());
  });
}

TEST_F(LinearInt8Test, Bf16ActivationsGiveTheRoundedResult) {
  Draws draws(9);
  const Weight weight = drawn_weight(draws, *find_packed_format("q4_0"), 21, 96).interleaved();
  const Tensor x = draws.dense({5, 96}, DType::kBF16);
  const Tensor y = linear(x, weight);
  EXPECT_EQ(y.dtype(), DType::kBF16);
  EXPECT_EQ(bits_of(y), bits_of(cast(linear(cast(x, DType::kF32), weight), DType::kBF16)));
}

TEST_F(LinearInt8Test, RowsAreCutAtWholeGroups) {
  Draws draws(10);
  const Weight weight = drawn_weight(draws, *find_packed_format("q4_1"), 40, 64).interleaved();
  EXPECT_EQ(bits_of(weight.rows(16, 40).unpack()), bits_of(weight.unpack().slice(0, 16, 40)));
  EXPECT_THAT(message_of([&] { weight.rows(8, 16); }), HasSubstr("multiples of 16"));
}

TEST_F(LinearInt8Test, FormatsWithoutTheLayoutStayAsTheyAre) {
  Draws draws(11);
  const Weight weight = drawn_weight(draws, *find_packed_format("q2_k"), 4, 256);
  EXPECT_FALSE(weight.interleaved().is_interleaved());
  const Weight dense(draws.dense({4, 32}, DType::kF32));
  EXPECT_FALSE(dense.interleaved().is_interleaved());
}

}  // namespace
}  // namespace martlet::ops
