#include "ops/svd.h"

#include <cmath>
#include <limits>

#include "base/thread_pool.h"
#include "ops/op_testing.h"

namespace martlet::ops {
namespace {

using testing::at_every_level;
using testing::bits_of;
using testing::Draws;
using ::testing::HasSubstr;
using testing::message_of;

class SvdTest : public testing::OpTest {};

/// A matrix in double, row after row.
struct Matrix {
  int64_t rows, columns;
  std::vector<double> values;

  explicit Matrix(const Tensor& tensor) : rows(tensor.dim(0)), columns(tensor.dim(1)) {
    for (const float value : tensor.to(Device::kCpu).to_vector<float>())
      values.push_back(static_cast<double>(value));
  }
  double operator()(int64_t row, int64_t column) const {
    return values[static_cast<size_t>(row * columns + column)];
  }
};

/// The largest element of |x^T x - 1|.
double off_orthonormal(const Matrix& x) {
  double largest = 0;
  for (int64_t a = 0; a < x.columns; ++a)
    for (int64_t b = 0; b <= a; ++b) {
      double sum = a == b ? -1 : 0;
      for (int64_t row = 0; row < x.rows; ++row) sum += x(row, a) * x(row, b);
      largest = std::max(largest, std::abs(sum));
    }
  return largest;
}

/// The largest element of |a - u diag(s) v^T|.
double residual(const Matrix& a, const Matrix& u, const std::vector<float>& s, const Matrix& v) {
  double largest = 0;
  for (int64_t row = 0; row < a.rows; ++row)
    for (int64_t column = 0; column < a.columns; ++column) {
      double sum = a(row, column);
      for (size_t i = 0; i < s.size(); ++i)
        sum -=
            u(row, static_cast<int64_t>(i)) * static_cast<double>(s[i]) * v(column, static_cast<int64_t>(i));
      largest = std::max(largest, std::abs(sum));
    }
  return largest;
}

void expect_decomposed(const Tensor& a) {
  const Svd result = svd(a);
  const int64_t k = std::min(a.dim(0), a.dim(1));
  ASSERT_EQ(result.u.shape(), (Shape{a.dim(0), k}));
  ASSERT_EQ(result.v.shape(), (Shape{a.dim(1), k}));
  const std::vector<float> s = result.s.to(Device::kCpu).to_vector<float>();
  ASSERT_EQ(s.size(), static_cast<size_t>(k));
  for (size_t i = 0; i < s.size(); ++i) EXPECT_LE(s[i], i == 0 ? s[i] : s[i - 1]);
  if (k == 0) return;
  EXPECT_GE(s.back(), 0);
  EXPECT_LE(off_orthonormal(Matrix(result.u)), 1e-6);
  EXPECT_LE(off_orthonormal(Matrix(result.v)), 1e-6);
  EXPECT_LE(residual(Matrix(a), Matrix(result.u), s, Matrix(result.v)), 1e-6 * static_cast<double>(s[0]));
}

TEST_F(SvdTest, GivesOrthonormalFactorsOfTheMatrix) {
  Draws draws(1);
  at_every_level([&] {
    for (const Shape& shape : {Shape{1, 1}, {5, 5}, {1, 9}, {40, 17}, {17, 40}, {100, 65}, {33, 33}, {0, 4}})
      expect_decomposed(draws.dense(shape, DType::kF32));
  });
  expect_decomposed(draws.dense({30, 20}, DType::kF32).transpose(0, 1));
  expect_decomposed(draws.dense({20, 30}, DType::kF32).to(Device::kReference));
}

TEST_F(SvdTest, FillsUpWhereTheMatrixIsDeficient) {
  Draws draws(2);
  expect_decomposed(Tensor::zeros({20, 7}, DType::kF32));
  // Rank 1, as a product of ones; and a matrix with equal columns.
  expect_decomposed(Tensor::from(std::vector<float>(600, 1.0f), {30, 20}));
  expect_decomposed(draws.dense({40, 1}, DType::kF32).expand({40, 25}).clone());
  for (int i = 0; i < 20; ++i) {
    // Every column many times, at scales far from each other.
    const int64_t rows = draws.between(2, 60);
    const Tensor few = draws.dense({rows, draws.between(1, 5), 1}, DType::kF32, i % 2 == 0 ? 1e-6f : 1e4f);
    expect_decomposed(few.expand({rows, few.dim(1), draws.between(2, 9)}).clone().reshape({rows, -1}));
  }
}

TEST_F(SvdTest, FindsKnownSingularValues) {
  // Columns of a scaled rotation: sqrt(2) (1, 1), (1, -1), times 3 and 1e-4.
  const float tiny = 1e-4f;
  const Svd result = svd(Tensor::from(std::vector<float>{3, tiny, 3, -tiny}, {2, 2}));
  const std::vector<float> s = result.s.to_vector<float>();
  EXPECT_FLOAT_EQ(s[0], 3 * std::sqrt(2.0f));
  EXPECT_FLOAT_EQ(s[1], tiny * std::sqrt(2.0f));
}

TEST_F(SvdTest, GivesTheSameBitsForAnyNumberOfThreadsAndInstructionSet) {
  const Tensor a = Draws(3).dense({150, 90}, DType::kF32);
  set_thread_count(1);
  const Svd expected = svd(a);
  set_thread_count(3);
  at_every_level([&] {
    const Svd result = svd(a);
    EXPECT_EQ(bits_of(result.u), bits_of(expected.u));
    EXPECT_EQ(bits_of(result.s), bits_of(expected.s));
    EXPECT_EQ(bits_of(result.v), bits_of(expected.v));
  });
}

TEST_F(SvdTest, SaysWhatItCannotTake) {
  EXPECT_THAT(message_of([] { svd(Tensor::zeros({3}, DType::kF32)); }), HasSubstr("matrix [m, n]"));
  EXPECT_THAT(message_of([] { svd(Tensor::zeros({3, 3}, DType::kI32)); }), HasSubstr("svd"));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(message_of([nan] {
                svd(Tensor::from(std::vector<float>{1, 2, nan, 3}, {2, 2}));
              }),
              HasSubstr("element [1, 0]"));
}

}  // namespace
}  // namespace martlet::ops
