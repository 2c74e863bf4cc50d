// Singular values by one-sided Jacobi rotations.
//
// Problem: a = u diag(s) v^T, for a layer's weight of some hundred or thousand rows and columns.
//
// Idea: rotate pairs of columns until all are orthogonal to each other: their lengths are then the singular
// values. A rotation needs one product of two columns and touches nothing else, so pairs without a common
// column may be rotated by different threads. First a is made smaller and easier: with columns pivoted, a P =
// Q R, and the columns of L = R^T are nearly orthogonal already (some six sweeps instead of ten). With J the
// product of all rotations, L J = W diag(s), hence a = (Q J) diag(s) (P W)^T.
//
// Order: columns are taken in blocks, small enough that two of them stay in a second-level cache. A sweep
// rotates the pairs within every block, then those between blocks, in the rounds of a tournament: in a round
// every block meets one other. Rounds are fixed, and meetings of one round share no column: the result does
// not depend on the threads.
//
// Cost: about 7 n^3 multiplications and additions a sweep, and 8 m n^2 around it.
//
// Sources: Hestenes 1958; Drmac and Veselic, "New fast and accurate Jacobi SVD algorithm", 2008, for the
// preconditioning; Demmel and Veselic 1992 for the accuracy of small singular values.

#include "ops/svd.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/thread_pool.h"
#include "ops/check.h"
#include "ops/cpu/svd_kernels.h"
#include "ops/cpu_features.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

/// Two blocks of 16 columns of 1024 and of what they were rotated by are 512 KiB.
constexpr int64_t kBlock = 16;
/// Cosine of the angle between columns below which they count as orthogonal: far below the rounding of f32.
constexpr double kOrthogonal = 1e-11;
/// Columns this much shorter than the matrix are what rounding left of nothing; they are not rotated.
constexpr double kNothing = 1e-13;
/// Convergence is quadratic after a few sweeps; 30 are never needed.
constexpr int kMaximumSweeps = 30;

/// Columns of double, one after the other.
struct Columns {
  int64_t rows, count;
  std::vector<double> values;

  Columns(int64_t rows_, int64_t count_)
      : rows(rows_), count(count_), values(static_cast<size_t>(rows_ * count_)) {}
  double* operator[](int64_t column) { return values.data() + column * rows; }
  const double* operator[](int64_t column) const { return values.data() + column * rows; }
};

/// The columns of a, or of its transpose when a is wide.
Columns columns_of(const Tensor& a) {
  const bool wide = a.dim(0) < a.dim(1);
  const Elements elements(a);
  Columns result(std::max(a.dim(0), a.dim(1)), std::min(a.dim(0), a.dim(1)));
  for (int64_t row = 0; row < a.dim(0); ++row)
    for (int64_t column = 0; column < a.dim(1); ++column) {
      const double value = elements[row * a.dim(1) + column];
      if (!std::isfinite(value))
        failed("svd of {}: element [{}, {}] is {}", a.to_string(), row, column, value);
      (wide ? result[row][column] : result[column][row]) = value;
    }
  return result;
}

/// Columns of one matrix that are cheap to loop over between threads.
int64_t column_grain(int64_t rows) {
  return 16384 / (rows + 1) + 1;
}

/// a P = Q R by Householder reflections, the longest column first.
class PivotedQr {
 public:
  PivotedQr(Columns a, const cpu::ColumnKernels& kernels)
      : a_(std::move(a)), kernels_(kernels), order_(static_cast<size_t>(a_.count)) {
    std::iota(order_.begin(), order_.end(), 0);
    for (int64_t step = 0; step < a_.count; ++step) {
      pivot(step);
      reflect(step);
    }
  }

  /// Column i of a P is column order()[i] of a.
  const std::vector<int64_t>& order() const { return order_; }

  /// R^T: its column i is row i of R.
  Columns lower() const {
    Columns result(a_.count, a_.count);
    for (int64_t i = 0; i < a_.count; ++i) {
      result[i][i] = diagonal_[static_cast<size_t>(i)];
      for (int64_t j = i + 1; j < a_.count; ++j) result[i][j] = a_[j][i];
    }
    return result;
  }

  /// Q x, for columns of a.count elements.
  Columns times(const Columns& x) const {
    Columns result(a_.rows, x.count);
    parallel_for(x.count, column_grain(a_.rows), [&](int64_t begin, int64_t end) {
      for (int64_t column = begin; column < end; ++column) {
        std::copy_n(x[column], x.rows, result[column]);
        for (int64_t step = a_.count - 1; step >= 0; --step) apply(step, result[column]);
      }
    });
    return result;
  }

 private:
  void pivot(int64_t step) {
    // Lengths are computed anew instead of being brought forward: that costs as much as the reflection.
    std::vector<double> lengths(static_cast<size_t>(a_.count));
    parallel_for(a_.count - step, column_grain(a_.rows), [&](int64_t begin, int64_t end) {
      for (int64_t column = step + begin; column < step + end; ++column)
        lengths[static_cast<size_t>(column)] =
            kernels_.dot(a_[column] + step, a_[column] + step, a_.rows - step);
    });
    const int64_t longest = std::max_element(lengths.begin() + step, lengths.end()) - lengths.begin();
    std::swap_ranges(a_[step], a_[step] + a_.rows, a_[longest]);
    std::swap(order_[static_cast<size_t>(step)], order_[static_cast<size_t>(longest)]);
  }

  /// The reflection I - v v^T that turns a column onto its axis; v, of length sqrt(2), replaces the column.
  void reflect(int64_t step) {
    double* v = a_[step] + step;
    const int64_t rows = a_.rows - step;
    const double length = std::sqrt(kernels_.dot(v, v, rows));
    const double onto = v[0] > 0 ? -length : length;
    diagonal_.push_back(onto);
    if (length == 0) return;
    v[0] -= onto;
    const double scale = std::sqrt(2 / kernels_.dot(v, v, rows));
    for (int64_t i = 0; i < rows; ++i) v[i] *= scale;
    parallel_for(a_.count - step - 1, column_grain(rows), [&](int64_t begin, int64_t end) {
      for (int64_t column = step + 1 + begin; column < step + 1 + end; ++column) apply(step, a_[column]);
    });
  }

  void apply(int64_t step, double* column) const {
    const double* v = a_[step] + step;
    const int64_t rows = a_.rows - step;
    kernels_.add_scaled(-kernels_.dot(v, column + step, rows), v, column + step, rows);
  }

  Columns a_;
  const cpu::ColumnKernels& kernels_;
  std::vector<int64_t> order_;
  std::vector<double> diagonal_;
};

/// Rotates columns until they are orthogonal, and the identity with them.
class Jacobi {
 public:
  Jacobi(Columns& columns, Columns& rotations, double least, const cpu::ColumnKernels& kernels)
      : columns_(columns), rotations_(rotations), least_square_(least * least), kernels_(kernels) {
    for (int64_t i = 0; i < rotations_.count; ++i) rotations_[i][i] = 1;
    int sweeps = 0;
    while (sweep())
      if (++sweeps == kMaximumSweeps) failed("svd did not converge in {} sweeps", kMaximumSweeps);
  }

 private:
  /// Whether any pair was not orthogonal yet.
  bool sweep() {
    const int64_t blocks = (columns_.count + kBlock - 1) / kBlock;
    std::atomic<bool> rotated{false};
    parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block)
        if (rotate_within(block)) rotated = true;
    });
    // The tournament's circle: one player stays, the others move on by one place a round; with an odd number
    // of blocks the last player is nobody.
    const int64_t players = blocks + blocks % 2;
    for (int64_t round = 0; round + 1 < players; ++round)
      parallel_for(players / 2, 1, [&](int64_t begin, int64_t end) {
        for (int64_t table = begin; table < end; ++table) {
          const auto at = [&](int64_t place) {
            return place == 0 ? players - 1 : (round + place) % (players - 1);
          };
          const int64_t a = at(table);
          const int64_t b = at(players - 1 - table);
          if (a < blocks && b < blocks && rotate_between(std::min(a, b), std::max(a, b))) rotated = true;
        }
      });
    return rotated;
  }

  int64_t block_end(int64_t block) const { return std::min((block + 1) * kBlock, columns_.count); }

  bool rotate_within(int64_t block) {
    bool rotated = false;
    for (int64_t a = block * kBlock; a < block_end(block); ++a)
      for (int64_t b = a + 1; b < block_end(block); ++b) rotated |= rotate(a, b);
    return rotated;
  }

  bool rotate_between(int64_t first, int64_t second) {
    bool rotated = false;
    for (int64_t a = first * kBlock; a < block_end(first); ++a)
      for (int64_t b = second * kBlock; b < block_end(second); ++b) rotated |= rotate(a, b);
    return rotated;
  }

  /// Makes two columns orthogonal: the smaller of the two angles that do.
  bool rotate(int64_t a, int64_t b) {
    double* x = columns_[a];
    double* y = columns_[b];
    const auto [xx, xy, yy] = kernels_.products(x, y, columns_.rows);
    if (xx <= least_square_ || yy <= least_square_) return false;
    if (std::abs(xy) <= kOrthogonal * std::sqrt(xx) * std::sqrt(yy)) return false;
    const double zeta = (yy - xx) / (2 * xy);
    const double tangent = std::copysign(1 / (std::abs(zeta) + std::sqrt(1 + zeta * zeta)), zeta);
    const double cosine = 1 / std::sqrt(1 + tangent * tangent);
    kernels_.rotate(cosine, cosine * tangent, x, y, columns_.rows);
    kernels_.rotate(cosine, cosine * tangent, rotations_[a], rotations_[b], rotations_.rows);
    return true;
  }

  Columns& columns_;
  Columns& rotations_;
  double least_square_;
  const cpu::ColumnKernels& kernels_;
};

/// Columns divided by their lengths; those of `least` or shorter become unit vectors orthogonal to all
/// others. `order` names the columns, the longest first.
void normalise(Columns& columns, const std::vector<double>& lengths, const std::vector<int64_t>& order,
               double least, const cpu::ColumnKernels& kernels) {
  int64_t axis = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    double* column = columns[order[i]];
    double length = lengths[static_cast<size_t>(order[i])];
    // An axis that lies in the span of the columns so far leaves nothing: then the next one is tried.
    const bool arbitrary = length <= least;
    while (arbitrary && length < 0.5 / std::sqrt(static_cast<double>(columns.rows))) {
      std::fill_n(column, columns.rows, 0.0);
      column[axis++] = 1;
      for (int pass = 0; pass < 2; ++pass)
        for (size_t j = 0; j < i; ++j) {
          const double* other = columns[order[j]];
          kernels.add_scaled(-kernels.dot(other, column, columns.rows), other, column, columns.rows);
        }
      length = std::sqrt(kernels.dot(column, column, columns.rows));
    }
    for (int64_t row = 0; row < columns.rows; ++row) column[row] /= length;
  }
}

/// f32 [rows, columns] of the columns in that order; row r goes to row `place(r)`.
template <typename Place>
Tensor matrix_of(const Columns& columns, const std::vector<int64_t>& order, Device device, Place place) {
  std::vector<float> values(static_cast<size_t>(columns.rows * columns.count));
  for (int64_t column = 0; column < columns.count; ++column)
    for (int64_t row = 0; row < columns.rows; ++row)
      values[static_cast<size_t>(place(row) * columns.count + column)] =
          static_cast<float>(columns[order[static_cast<size_t>(column)]][row]);
  return Tensor::from(values, {columns.rows, columns.count}, device);
}

struct SvdProblem {
  const Tensor& a;
  Svd& result;
};

void decompose(const SvdProblem& problem, const cpu::ColumnKernels& kernels) {
  const PivotedQr qr(columns_of(problem.a), kernels);
  Columns right = qr.lower();
  Columns rotations(right.count, right.count);
  double square = 0;
  for (const double value : right.values) square += value * value;
  const double least = kNothing * std::sqrt(square);
  Jacobi(right, rotations, least, kernels);

  std::vector<double> lengths;
  for (int64_t i = 0; i < right.count; ++i)
    lengths.push_back(std::sqrt(kernels.dot(right[i], right[i], right.rows)));
  std::vector<int64_t> order(static_cast<size_t>(right.count));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return lengths[static_cast<size_t>(a)] > lengths[static_cast<size_t>(b)];
  });
  normalise(right, lengths, order, least, kernels);

  const Device device = problem.a.device();
  const Tensor tall = matrix_of(qr.times(rotations), order, device, [](int64_t row) { return row; });
  const Tensor small =
      matrix_of(right, order, device, [&](int64_t row) { return qr.order()[static_cast<size_t>(row)]; });
  std::vector<float> values;
  for (const int64_t column : order)
    values.push_back(static_cast<float>(lengths[static_cast<size_t>(column)]));
  const bool wide = problem.a.dim(0) < problem.a.dim(1);
  problem.result = {wide ? small : tall, Tensor::from(values, {right.count}, device), wide ? tall : small};
}

constexpr Kernel<SvdProblem> kKernels[] = {
    {"avx512", Device::kCpu,
     [](const SvdProblem&) -> std::string_view { return cpu_features().avx512 ? "" : "no AVX-512"; },
     [](const SvdProblem& problem) { decompose(problem, cpu::column_kernels_avx512()); }},
    {"avx2", Device::kCpu,
     [](const SvdProblem&) -> std::string_view { return cpu_features().avx2 ? "" : "no AVX2"; },
     [](const SvdProblem& problem) { decompose(problem, cpu::column_kernels_avx2()); }},
    {"portable", Device::kCpu, nullptr,
     [](const SvdProblem& problem) { decompose(problem, cpu::column_kernels_portable()); }},
    {"reference", Device::kReference, nullptr,
     [](const SvdProblem& problem) { decompose(problem, cpu::column_kernels_portable()); }},
};

}  // namespace

Svd svd(const Tensor& a) {
  require_floating("svd", "a", a);
  if (a.rank() != 2) failed("svd takes a matrix [m, n], got {}", a.to_string());
  const int64_t k = std::min(a.dim(0), a.dim(1));
  Svd result;
  if (k == 0) {
    const auto nothing = [&](const Shape& shape) { return Tensor::zeros(shape, DType::kF32, a.device()); };
    return {nothing({a.dim(0), 0}), nothing({0}), nothing({a.dim(1), 0})};
  }
  const SvdProblem problem{a, result};
  choose<SvdProblem>("svd", kKernels, a.device(), problem).run(problem);
  return result;
}

Cost svd_cost(const Shape& a) {
  const double m = static_cast<double>(std::max(a.dim(0), a.dim(1)));
  const double n = static_cast<double>(std::min(a.dim(0), a.dim(1)));
  // Six sweeps, each a product of every pair three times and a rotation of two pairs of columns.
  const double operations = 6 * (n * n / 2) * (6 + 12) * n + 8 * m * n * n;
  return {operations, m * n * 4, (m * n + n * n + n) * 4};
}

}  // namespace martlet::ops
