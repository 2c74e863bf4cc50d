#include "ops/linear.h"

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/linear_gradient.h"
#include "ops/op_testing.h"

namespace martlet::ops {
namespace {

using testing::at_every_level;
using testing::bits_of;
using testing::drawn_weight;
using testing::Draws;
using testing::expect_contract;
using testing::expect_rows_independent;
using ::testing::HasSubstr;
using testing::message_of;

class LinearTest : public testing::OpTest {};
class LinearGradientTest : public testing::OpTest {};

// Sums of products of normal numbers in f32: some roundings of the size of the sum.
constexpr testing::Tolerance kSums{2e-5, 2e-4};

/// Whole and partial steps, several slices and blocks of rows, weights smaller than a panel, nothing at all.
struct Sizes {
  int64_t tokens, columns, rows;
};
constexpr Sizes kSizes[] = {{0, 5, 3},    {3, 0, 4},     {4, 7, 0},    {1, 1, 1},
                            {1, 100, 9},  {5, 33, 7},    {13, 64, 21}, {3, 1537, 10},
                            {30, 800, 5}, {407, 40, 17}, {9, 768, 8},  {150, 1600, 20}};

/// Processors that add products of bf16 in pairs have an order of their own.
bool levels_agree(DType x, DType weight) {
  return x != DType::kBF16 || weight != DType::kBF16;
}

std::string named(DType x, DType weight, const Sizes& size) {
  return fmt::format("{} x, {} weight, {} x {} -> {}", name_of(x), name_of(weight), size.tokens, size.columns,
                     size.rows);
}

Tensor linear_of(const std::vector<Tensor>& in) {
  return linear(in[0], Weight(in[1].contiguous()), in.size() > 2 ? in[2] : Tensor());
}

TEST_F(LinearTest, DenseWeightsAgreeWithTheDefinition) {
  Draws draws(1);
  for (const DType dtype : {DType::kF32, DType::kBF16})
    for (const DType weight : testing::kFloating)
      for (const Sizes& size : kSizes) {
        SCOPED_TRACE(named(dtype, weight, size));
        const Tensor x = draws.any_layout({size.tokens, size.columns}, dtype);
        const Tensor w = draws.dense({size.rows, size.columns}, weight);
        expect_contract({x, w}, linear_of, kSums, levels_agree(dtype, weight));
        expect_contract({x, w, draws.dense({size.rows}, DType::kF32)}, linear_of, kSums,
                        levels_agree(dtype, weight));
      }
}

TEST_F(LinearTest, ARowAloneHasTheBitsItHasAmongMany) {
  Draws draws(2);
  for (const DType dtype : {DType::kF32, DType::kBF16})
    for (const Sizes& size : {Sizes{37, 1000, 19}, {6, 2048, 11}, {20, 48, 130}}) {
      SCOPED_TRACE(named(dtype, dtype, size));
      const Weight weight(draws.dense({size.rows, size.columns}, dtype));
      expect_rows_independent(draws.dense({size.tokens, size.columns}, dtype),
                              [&](const Tensor& x) { return linear(x, weight); });
    }
}

TEST_F(LinearTest, AnyNumberOfThreadsGivesTheSameBits) {
  Draws draws(3);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Tensor x = draws.dense({700, 288}, dtype);
    const Weight weight(draws.dense({1100, 288}, dtype));
    set_thread_count(1);
    const auto expected = bits_of(linear(x, weight));
    for (const int threads : {2, 3, 7}) {
      set_thread_count(threads);
      EXPECT_EQ(bits_of(linear(x, weight)), expected) << threads << " threads";
    }
  }
}

TEST_F(LinearTest, PackedWeightsGiveTheBitsOfTheirUnpackedForm) {
  Draws draws(4);
  for (const PackedFormat* format : packed_formats()) {
    SCOPED_TRACE(format->name);
    // Whole blocks, one and many; rows of every remainder by what kernels take together.
    for (const int64_t rows : {1, 2, 11, 16, 70}) {
      const int64_t columns = format->block_elements * draws.between(1, 1600 / format->block_elements);
      const Weight weight = drawn_weight(draws, *format, rows, columns);
      std::vector<float> expected(static_cast<size_t>(rows * columns));
      format->unpack(weight.storage().host_bytes(), rows * columns / format->block_elements, expected.data());
      const Tensor dense = Tensor::from(expected, {rows, columns});
      at_every_level([&] {
        EXPECT_EQ(bits_of(weight.unpack()), bits_of(dense));
        for (const int64_t tokens : {1, 2, 3, 4, 5, 7, 8, 13, 29, 70}) {
          const Tensor x = draws.dense({tokens, columns}, DType::kF32);
          EXPECT_EQ(bits_of(linear(x, weight)), bits_of(linear(x, Weight(dense))))
              << tokens << " tokens, " << rows << " rows of " << columns;
        }
      });
    }
  }
}

TEST_F(LinearTest, LeadingDimensionsAreKept) {
  Draws draws(5);
  const Tensor x = draws.dense({2, 3, 40}, DType::kF32);
  const Weight weight(draws.dense({7, 40}, DType::kF32));
  const Tensor y = linear(x, weight);
  EXPECT_EQ(y.shape(), (Shape{2, 3, 7}));
  EXPECT_EQ(bits_of(y), bits_of(linear(x.reshape({6, 40}), weight)));
  EXPECT_EQ(bits_of(linear(x.select(0, 0).select(0, 1), weight)), bits_of(y.select(0, 0).select(0, 1)));
}

TEST_F(LinearTest, SaysWhatItTakes) {
  const Weight weight(Tensor::zeros({4, 3}, DType::kF32));
  EXPECT_THAT(message_of([&] {
                linear(Tensor::zeros({2, 5}, DType::kF32), weight);
              }),
              HasSubstr("linear of a weight [4, 3] takes x [..., 3], got [2, 5]"));
  EXPECT_THAT(message_of([&] {
                linear(Tensor::zeros({2, 3}, DType::kF16), weight);
              }),
              HasSubstr("linear takes x of f32 or bf16"));
  EXPECT_THAT(message_of([&] {
                linear(Tensor::zeros({2, 3}, DType::kF32), weight, Tensor::zeros({3}, DType::kF32));
              }),
              HasSubstr("linear takes a bias f32[4]"));
}

TEST_F(LinearGradientTest, AgreesWithTheDefinition) {
  Draws draws(6);
  for (const DType dtype : {DType::kF32, DType::kBF16})
    for (const Sizes& size : kSizes) {
      SCOPED_TRACE(named(dtype, dtype, size));
      const Tensor dy = draws.any_layout({size.tokens, size.rows}, dtype);
      const bool agree = levels_agree(dtype, dtype);
      expect_contract(
          {dy, draws.dense({size.rows, size.columns}, dtype)},
          [](const std::vector<Tensor>& in) {
            return linear_input_gradient(in[0], Weight(in[1].contiguous()));
          },
          kSums, agree);
      expect_contract(
          {dy, draws.any_layout({size.tokens, size.columns}, dtype)},
          [](const std::vector<Tensor>& in) { return linear_weight_gradient(in[0], in[1]); }, kSums, agree);
    }
}

/// sum of dy * (x W^T) has the derivatives that the two functions give: exact for small whole numbers.
TEST_F(LinearGradientTest, IsTheDerivativeOfLinear) {
  Draws draws(7);
  const auto whole = [&](const Shape& shape) {
    std::vector<float> values(static_cast<size_t>(shape.element_count()));
    for (float& value : values) value = static_cast<float>(draws.between(-3, 3));
    return Tensor::from(values, shape);
  };
  const auto loss = [](const Tensor& x, const Tensor& w, const Tensor& dy) {
    const std::vector<float> y = linear(x, Weight(w)).to_vector<float>();
    const std::vector<float> factors = dy.to_vector<float>();
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += static_cast<double>(y[i]) * static_cast<double>(factors[i]);
    return sum;
  };
  const Tensor x = whole({2, 3, 6});
  const Tensor w = whole({5, 6});
  const Tensor dy = whole({2, 3, 5});
  const std::vector<float> dx = linear_input_gradient(dy, Weight(w)).to_vector<float>();
  const std::vector<float> dw = linear_weight_gradient(dy, x).to_vector<float>();
  const auto nudged = [](const Tensor& tensor, int64_t i) {
    const Tensor copy = tensor.clone();
    copy.mutable_data<float>()[i] += 1;
    return copy;
  };
  for (int64_t i = 0; i < x.element_count(); ++i)
    EXPECT_EQ(loss(nudged(x, i), w, dy) - loss(x, w, dy), static_cast<double>(dx[static_cast<size_t>(i)]));
  for (int64_t i = 0; i < w.element_count(); ++i)
    EXPECT_EQ(loss(x, nudged(w, i), dy) - loss(x, w, dy), static_cast<double>(dw[static_cast<size_t>(i)]));
}

TEST_F(LinearGradientTest, AddsToWhatIsThere) {
  Draws draws(8);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Tensor dy = draws.dense({70, 9}, dtype);
    const Tensor x = draws.dense({70, 50}, dtype);
    const Tensor sum = Tensor::zeros({9, 50}, DType::kF32);
    add_linear_weight_gradient(sum, dy, x);
    EXPECT_EQ(bits_of(sum), bits_of(linear_weight_gradient(dy, x)));
    expect_contract(
        {draws.dense({9, 50}, DType::kF32), dy, x},
        [](const std::vector<Tensor>& in) {
          const Tensor total = in[0].clone();
          add_linear_weight_gradient(total, in[1], in[2]);
          return total;
        },
        kSums, levels_agree(dtype, dtype));
  }
}

TEST_F(LinearGradientTest, TakesPackedWeights) {
  Draws draws(9);
  const Weight weight = drawn_weight(draws, *find_packed_format("q4_1"), 11, 64);
  const Tensor dy = draws.dense({5, 11}, DType::kF32);
  EXPECT_EQ(bits_of(linear_input_gradient(dy, weight)),
            bits_of(linear_input_gradient(dy, Weight(weight.unpack()))));
}

TEST_F(LinearGradientTest, SaysWhatItTakes) {
  const Tensor dy = Tensor::zeros({2, 4}, DType::kF32);
  EXPECT_THAT(message_of([&] {
                linear_input_gradient(dy, Weight(Tensor::zeros({3, 4}, DType::kF32)));
              }),
              HasSubstr("linear's input gradient for a weight [3, 4] takes dy [.., 3], got [2, 4]"));
  EXPECT_THAT(message_of([&] {
                linear_weight_gradient(dy, Tensor::zeros({3, 5}, DType::kF32));
              }),
              HasSubstr("of the same tokens, got [2, 4] and [3, 5]"));
  EXPECT_THAT(message_of([&] {
                add_linear_weight_gradient(Tensor::zeros({4, 4}, DType::kF32), dy,
                                           Tensor::zeros({2, 5}, DType::kF32));
              }),
              HasSubstr("matmul adds to a contiguous f32 [4, 5]"));
}

}  // namespace
}  // namespace martlet::ops
