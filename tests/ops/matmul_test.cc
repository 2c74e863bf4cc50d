#include "ops/matmul.h"

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/linear.h"
#include "ops/op_testing.h"

namespace martlet::ops {
namespace {

using testing::bits_of;
using testing::Draws;
using testing::expect_contract;
using ::testing::HasSubstr;
using testing::message_of;

class MatmulTest : public testing::OpTest {};

constexpr testing::Tolerance kSums{2e-5, 2e-4};

struct Factors {
  Shape a, b;
};
// Batches that broadcast, none, more than threads; k, m and n of nothing, of one, of squares and their edges.
const Factors kFactors[] = {
    {{3, 5}, {5, 4}},         {{1, 1}, {1, 1}},         {{0, 5}, {5, 4}},
    {{3, 0}, {0, 4}},         {{3, 5}, {5, 0}},         {{70, 33}, {33, 41}},
    {{17, 130}, {130, 95}},   {{2, 3, 8, 16}, {16, 9}}, {{2, 1, 6, 40}, {3, 40, 7}},
    {{5, 40}, {2, 2, 40, 3}}, {{0, 4, 3}, {0, 3, 2}},   {{9, 1, 64}, {9, 64, 20}},
    {{4, 1600}, {1600, 36}},
};

TEST_F(MatmulTest, AgreesWithTheDefinitionInAnyLayout) {
  Draws draws(1);
  for (const DType a : {DType::kF32, DType::kBF16})
    for (const DType b : {DType::kF32, DType::kBF16})
      for (const Factors& shapes : kFactors)
        for (int layout = 0; layout < 3; ++layout) {
          SCOPED_TRACE(
              fmt::format("{}{} x {}{}", name_of(a), shapes.a.to_string(), name_of(b), shapes.b.to_string()));
          expect_contract(
              {draws.any_layout(shapes.a, a), draws.any_layout(shapes.b, b)},
              [](const std::vector<Tensor>& in) { return matmul(in[0], in[1]); }, kSums,
              a == DType::kF32 || b == DType::kF32);
        }
}

TEST_F(MatmulTest, TransposedFactorsGiveTheSameBits) {
  Draws draws(2);
  for (const DType dtype : {DType::kF32, DType::kBF16})
    for (int draw = 0; draw < 20; ++draw) {
      const int64_t m = draws.between(1, 90);
      const int64_t k = draws.between(1, 150);
      const int64_t n = draws.between(1, 90);
      const Tensor a = draws.dense({m, k}, dtype);
      const Tensor b = draws.dense({k, n}, dtype);
      const Tensor a_turned = a.transpose(0, 1).contiguous().transpose(0, 1);
      const Tensor b_turned = b.transpose(0, 1).contiguous().transpose(0, 1);
      const auto expected = bits_of(matmul(a, b));
      SCOPED_TRACE(fmt::format("{} x {} x {}", m, k, n));
      EXPECT_EQ(bits_of(matmul(a_turned, b)), expected);
      EXPECT_EQ(bits_of(matmul(a, b_turned)), expected);
      EXPECT_EQ(bits_of(matmul(a_turned, b_turned)), expected);
    }
}

TEST_F(MatmulTest, RowsAndColumnsHaveTheBitsTheyHaveAlone) {
  Draws draws(6);
  for (const DType dtype : {DType::kF32, DType::kBF16})
    for (int draw = 0; draw < 10; ++draw) {
      const int64_t m = draws.between(2, 90);
      const int64_t k = draws.between(1, 900);
      const int64_t n = draws.between(2, 90);
      const Tensor a = draws.dense({m, k}, dtype);
      const Tensor b = draws.dense({k, n}, dtype);
      const Tensor all = matmul(a, b);
      const int64_t row = draws.between(0, m - 1);
      const int64_t column = draws.between(0, n - 1);
      SCOPED_TRACE(fmt::format("{} x {} x {}", m, k, n));
      EXPECT_EQ(bits_of(matmul(a.slice(0, row, row + 1), b)), bits_of(all.slice(0, row, row + 1)));
      EXPECT_EQ(bits_of(matmul(a, b.slice(1, column, column + 1))), bits_of(all.slice(1, column, column + 1)));
    }
}

TEST_F(MatmulTest, AProductOfABatchHasTheBitsItHasAlone) {
  Draws draws(3);
  const Tensor a = draws.dense({7, 12, 50}, DType::kF32);
  const Tensor b = draws.dense({7, 50, 9}, DType::kF32);
  for (const int threads : {1, 2, 8}) {
    set_thread_count(threads);
    const Tensor all = matmul(a, b);
    for (int64_t i = 0; i < 7; ++i)
      EXPECT_EQ(bits_of(all.select(0, i)), bits_of(matmul(a.select(0, i), b.select(0, i))));
  }
}

TEST_F(MatmulTest, SumsOfBf16StayWholeInAnF32Result) {
  Draws draws(4);
  const Tensor a = draws.dense({6, 300}, DType::kBF16);
  const Tensor b = draws.dense({300, 5}, DType::kBF16);
  expect_contract(
      {a, b}, [](const std::vector<Tensor>& in) { return matmul(in[0], in[1], DType::kF32); }, kSums, false);
}

TEST_F(MatmulTest, AddsToWhatIsThere) {
  Draws draws(5);
  expect_contract(
      {draws.dense({2, 6, 9}, DType::kF32), draws.dense({2, 6, 70}, DType::kF32),
       draws.dense({2, 70, 9}, DType::kF32)},
      [](const std::vector<Tensor>& in) {
        const Tensor sum = in[0].clone();
        matmul_add_in_place(sum, in[1], in[2]);
        return sum;
      },
      kSums);
}

TEST_F(MatmulTest, SaysWhatItTakes) {
  const Tensor a = Tensor::zeros({2, 3}, DType::kF32);
  EXPECT_THAT(message_of([&] { matmul(a, a); }),
              HasSubstr("matmul takes [.., m, k] and [.., k, n], got [2, 3] and [2, 3]"));
  EXPECT_THAT(message_of([&] { matmul(a, Tensor::zeros({3}, DType::kF32)); }),
              HasSubstr("matmul takes [.., m, k]"));
  EXPECT_THAT(message_of([&] {
                matmul(a, Tensor::zeros({3, 2}, DType::kI32));
              }),
              HasSubstr("matmul takes factors of f32 or bf16"));
  EXPECT_THAT(message_of([&] {
                matmul(a, Tensor::zeros({3, 2}, DType::kF32), DType::kF16);
              }),
              HasSubstr("matmul gives f32 or bf16, asked for f16"));
  EXPECT_THAT(message_of([&] {
                matmul(Tensor::zeros({2, 1, 3}, DType::kF32), Tensor::zeros({3, 3, 1}, DType::kF32));
              }),
              HasSubstr("[2]"));
}

}  // namespace
}  // namespace martlet::ops
