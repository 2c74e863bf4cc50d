// int8 weights and activations with outliers kept.
#include "ops/outlier_linear.h"

#include <cmath>
#include <limits>

#include "base/thread_pool.h"
#include "ops/op_testing.h"

namespace martlet::ops {
namespace {

using testing::at_every_level;
using testing::bits_of;
using testing::Draws;
using testing::expect_close;
using ::testing::HasSubstr;
using testing::message_of;

class OutlierLinearTest : public testing::OpTest {};

/// Activations of which about one in thirty is far beyond the others.
Tensor with_outliers(Draws& draws, const Shape& shape) {
  std::vector<float> values = draws.dense(shape, DType::kF32).to_vector<float>();
  for (float& value : values)
    if (draws.below(30) == 0) value *= 90;
  return Tensor::from(values, shape);
}

Tensor on_reference(const Tensor& x, const ByteRows& rows, float threshold, const Tensor& bias) {
  const ByteRows moved{rows.codes.to(Device::kReference), rows.scales.to(Device::kReference)};
  return outlier_linear(x.to(Device::kReference), moved, threshold, bias.to(Device::kReference))
      .to(Device::kCpu);
}

float greatest(const Tensor& tensor) {
  float most = 0;
  for (const float value : tensor.to_vector<float>()) most = std::max(most, std::fabs(value));
  return most;
}

TEST_F(OutlierLinearTest, AgreesWithTheDefinitionOnEveryProcessor) {
  Draws draws(1);
  for (const int64_t tokens : {1, 2, 5, 70})
    for (const int64_t columns : {1, 15, 33, 64, 300}) {
      const int64_t count = draws.between(1, 40);
      const ByteRows rows = byte_rows(Weight(draws.dense({count, columns}, DType::kF32)));
      const Tensor x = with_outliers(draws, {tokens, columns});
      const Tensor bias = draws.dense({count}, DType::kF32);
      const Tensor expected = on_reference(x, rows, 6, bias);
      at_every_level([&] {
        SCOPED_TRACE(fmt::format("{} tokens, {} columns", tokens, columns));
        expect_close(outlier_linear(x, rows, 6, bias), expected, {2e-6, 2e-6 * greatest(expected)});
      });
    }
}

TEST_F(OutlierLinearTest, ARowHasTheSameBitsAloneAmongOthersAndOnAnyThreads) {
  Draws draws(2);
  const ByteRows rows = byte_rows(Weight(draws.dense({90, 200}, DType::kF32)));
  const Tensor x = with_outliers(draws, {150, 200});
  set_thread_count(1);
  const Tensor expected = outlier_linear(x, rows, 6);
  at_every_level([&] {
    for (const int threads : {1, 3}) {
      set_thread_count(threads);
      EXPECT_EQ(bits_of(outlier_linear(x, rows, 6)), bits_of(expected));
      for (const int64_t row : {0, 63, 64, 149})
        EXPECT_EQ(bits_of(outlier_linear(x.slice(0, row, row + 1), rows, 6)),
                  bits_of(expected.slice(0, row, row + 1)));
    }
  });
}

// What LLM.int8 is for: one great column makes steps so coarse that the others vanish, unless it is kept
// apart.
TEST_F(OutlierLinearTest, OutliersKeptApartLeaveTheOthersTheirPrecision) {
  Draws draws(3);
  const Weight weight(draws.dense({64, 256}, DType::kF32));
  const ByteRows rows = byte_rows(weight);
  std::vector<float> values = draws.dense({8, 256}, DType::kF32).to_vector<float>();
  for (size_t i = 17; i < values.size(); i += 256) values[i] = 300;
  const Tensor x = Tensor::from(values, {8, 256});
  const std::vector<float> kept = outlier_linear(x, rows, 6).to_vector<float>();
  const std::vector<float> not_kept = outlier_linear(x, rows, 1e30f).to_vector<float>();
  // The product with the weights as they were rounded.
  const std::vector<float> w = rows.codes.unpack().to_vector<float>();
  const std::vector<float> scales = rows.scales.to_vector<float>();
  double with = 0, without = 0;
  for (size_t token = 0; token < 8; ++token)
    for (size_t row = 0; row < 64; ++row) {
      double sum = 0;
      for (size_t k = 0; k < 256; ++k)
        sum += double{values[token * 256 + k]} * w[row * 256 + k] * scales[row];
      with += std::pow(kept[token * 64 + row] - sum, 2);
      without += std::pow(not_kept[token * 64 + row] - sum, 2);
    }
  EXPECT_LT(with, without / 1000);
}

TEST_F(OutlierLinearTest, RoundingRoundedRowsAgainGivesThemBack) {
  Draws draws(4);
  const ByteRows rows = byte_rows(Weight(draws.dense({200, 96}, DType::kF32)));
  std::vector<float> values = rows.codes.unpack().to_vector<float>();
  const std::vector<float> scales = rows.scales.to_vector<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] *= scales[i / 96];
  const ByteRows again = byte_rows(Weight(Tensor::from(values, {200, 96})));
  EXPECT_EQ(bits_of(again.scales), bits_of(rows.scales));
  EXPECT_EQ(bits_of(again.codes.storage()), bits_of(rows.codes.storage()));
}

TEST_F(OutlierLinearTest, ARowOfZerosStaysOne) {
  const ByteRows rows = byte_rows(Weight(Tensor::zeros({3, 40}, DType::kF32)));
  Draws draws(5);
  EXPECT_EQ(greatest(outlier_linear(with_outliers(draws, {2, 40}), rows, 6)), 0);
}

TEST_F(OutlierLinearTest, WhatIsNotFiniteStaysInItsRow) {
  Draws draws(6);
  const ByteRows rows = byte_rows(Weight(draws.dense({20, 64}, DType::kF32)));
  std::vector<float> values = draws.dense({2, 64}, DType::kF32).to_vector<float>();
  const Tensor good = outlier_linear(Tensor::from(values, {2, 64}), rows, 6);
  values[9] = std::numeric_limits<float>::quiet_NaN();
  const Tensor y = outlier_linear(Tensor::from(values, {2, 64}), rows, 6);
  for (const float value : y.slice(0, 0, 1).to_vector<float>()) EXPECT_TRUE(std::isnan(value));
  EXPECT_EQ(bits_of(y.slice(0, 1, 2)), bits_of(good.slice(0, 1, 2)));
  EXPECT_THAT(message_of([] {
                byte_rows(Weight(
                    Tensor::from(std::vector<float>{1, std::numeric_limits<float>::infinity()}, {1, 2})));
              }),
              HasSubstr("a weight is inf"));
}

TEST_F(OutlierLinearTest, WhatDoesNotFitIsNamed) {
  Draws draws(7);
  const ByteRows rows = byte_rows(Weight(draws.dense({20, 64}, DType::kF32)));
  EXPECT_THAT(message_of([&] {
                outlier_linear(draws.dense({2, 63}, DType::kF32), rows, 6);
              }),
              HasSubstr("x [..., 64]"));
  EXPECT_THAT(
      message_of([&] {
        outlier_linear(draws.dense({2, 64}, DType::kF32), {rows.codes, rows.scales.slice(0, 0, 19)}, 6);
      }),
      HasSubstr("scales f32[20]"));
}

}  // namespace
}  // namespace martlet::ops
