// How: a row of x becomes int8 codes with zeros in the place of its outliers. Rows of the matrix are
// multiplied with all rows of x while they are in the cache; integer sums are exact, whatever their order. To
// each, outliers are then added one after another, in the order of columns, and the row's scale multiplies
// the sum.

#include "ops/outlier_linear.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/cast.h"
#include "ops/cpu/byte_rows_kernels.h"
#include "ops/packed/formats.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct OutlierProblem {
  Tensor x;  ///< [tokens, columns] f32, contiguous
  const ByteRows& weight;
  float threshold;
  Tensor bias;  ///< contiguous, or nothing
  Tensor y;     ///< [tokens, rows] f32
};

Cost cost_of(const OutlierProblem& problem) {
  return outlier_linear_cost(problem.x.dim(0), problem.weight);
}

// Sums of products of two bytes stay below 2^31.
constexpr int64_t kMostColumns = (int64_t{1} << 31) / (128 * 128) - 1;
// Less weight than this is not worth waking a thread for.
constexpr int64_t kLeastBytes = 32 << 10;
// Rows of x that are multiplied with a row of the matrix while it is in the cache, and of the matrix with
// them.
constexpr int64_t kTokensATime = 64;

struct Outlier {
  int64_t column;
  float value;
};

/// A row of x, rounded.
struct RoundedRow {
  float scale;
  std::vector<Outlier> outliers;
};

RoundedRow round_row(const float* x, int64_t columns, float threshold, int8_t* codes) {
  RoundedRow row{0, {}};
  float most = 0;
  for (int64_t k = 0; k < columns; ++k) {
    const float magnitude = std::fabs(x[k]);
    if (magnitude <= threshold)
      most = std::max(most, magnitude);
    else
      row.outliers.push_back({k, x[k]});
  }
  // Below this a row counts as zeros: 127 / it must be finite.
  const float inverse = most < 0x1p-100f ? 0.0f : 127.0f / most;
  row.scale = inverse == 0 ? 0.0f : most / 127.0f;
  for (int64_t k = 0; k < columns; ++k)
    codes[k] =
        std::fabs(x[k]) <= threshold ? static_cast<int8_t>(std::nearbyintf(x[k] * inverse)) : int8_t{0};
  return row;
}

class OutlierProduct {
 public:
  explicit OutlierProduct(const OutlierProblem& problem)
      : problem_(problem),
        tokens_(problem.x.dim(0)),
        columns_(problem.x.dim(1)),
        rows_(problem.weight.codes.rows()),
        codes_(Tensor::empty({tokens_, columns_}, DType::kI8)),
        rounded_(static_cast<size_t>(tokens_)) {
    const float* x = problem.x.data<float>();
    int8_t* codes = codes_.mutable_data<int8_t>();
    parallel_for(tokens_, 1 + kLeastBytes / std::max<int64_t>(1, columns_), [&](int64_t begin, int64_t end) {
      for (int64_t token = begin; token < end; ++token)
        rounded_[static_cast<size_t>(token)] =
            round_row(x + token * columns_, columns_, problem_.threshold, codes + token * columns_);
    });
  }

  void run() const {
    const cpu::ByteProduct product = cpu::byte_product();
    const int64_t grain = 1 + kLeastBytes / std::max<int64_t>(1, columns_);
    parallel_for((rows_ + cpu::kByteRows - 1) / cpu::kByteRows, grain, [&](int64_t begin, int64_t end) {
      int32_t sums[kTokensATime * cpu::kByteRows];
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t row = piece * cpu::kByteRows;
        const int64_t count = std::min(cpu::kByteRows, rows_ - row);
        for (int64_t token = 0; token < tokens_; token += kTokensATime) {
          const int64_t tokens = std::min(kTokensATime, tokens_ - token);
          product(weights(row), count, codes_.data<int8_t>() + token * columns_, tokens, columns_, sums);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t r = 0; r < count; ++r) write(token + t, row + r, sums[t * cpu::kByteRows + r]);
        }
      }
    });
  }

 private:
  const int8_t* weights(int64_t row) const {
    return reinterpret_cast<const int8_t*>(problem_.weight.codes.storage().host_bytes()) + row * columns_;
  }

  void write(int64_t token, int64_t row, int32_t sum) const {
    const RoundedRow& x = rounded_[static_cast<size_t>(token)];
    float total = x.scale * static_cast<float>(sum);
    const int8_t* its = weights(row);
    for (const Outlier& outlier : x.outliers)
      total += outlier.value * static_cast<float>(its[outlier.column]);
    const float bias = problem_.bias.defined() ? problem_.bias.data<float>()[row] : 0.0f;
    Tensor y = problem_.y;
    y.mutable_data<float>()[token * rows_ + row] = total * problem_.weight.scales.data<float>()[row] + bias;
  }

  const OutlierProblem& problem_;
  int64_t tokens_, columns_, rows_;
  Tensor codes_;
  std::vector<RoundedRow> rounded_;
};

void run_cpu(const OutlierProblem& problem) {
  if (problem.y.element_count() > 0) OutlierProduct(problem).run();
}

/// The definition, in double.
void run_reference(const OutlierProblem& problem) {
  const Elements x(problem.x), scales(problem.weight.scales);
  const Tensor unpacked = problem.weight.codes.unpack();
  const Elements codes(unpacked);
  Elements y(problem.y);
  const int64_t columns = problem.x.dim(1), rows = problem.weight.codes.rows();
  for (int64_t token = 0; token < problem.x.dim(0); ++token) {
    double most = 0;
    for (int64_t k = 0; k < columns; ++k) {
      const double magnitude = std::fabs(x[token * columns + k]);
      if (magnitude <= double{problem.threshold}) most = std::max(most, magnitude);
    }
    const auto counted = [&](double value) {
      if (!(std::fabs(value) <= double{problem.threshold})) return value;
      const auto steps = static_cast<float>(value) * (127.0f / static_cast<float>(most));
      return most < 0x1p-100 ? 0.0 : double{std::nearbyint(steps)} * (most / 127);
    };
    for (int64_t row = 0; row < rows; ++row) {
      double sum = 0;
      for (int64_t k = 0; k < columns; ++k) sum += counted(x[token * columns + k]) * codes[row * columns + k];
      const double bias = problem.bias.defined() ? Elements(problem.bias)[row] : 0.0;
      y.set(token * rows + row, sum * scales[row] + bias);
    }
  }
}

constexpr Kernel<OutlierProblem> kKernels[] = {
    {"cpu", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

void check(const Tensor& x, const ByteRows& weight, const Tensor& bias) {
  if (!weight.codes.defined() || weight.codes.type_name() != packed::kInt8.name ||
      weight.codes.columns() > kMostColumns)
    failed("outlier_linear takes int8 rows of at most {} columns", kMostColumns);
  const Shape per_row{weight.codes.rows()};
  if (weight.scales.shape() != per_row || weight.scales.dtype() != DType::kF32 ||
      !weight.scales.is_contiguous())
    failed("outlier_linear takes scales f32{}, got {}", per_row.to_string(), weight.scales.to_string());
  if ((x.dtype() != DType::kF32 && x.dtype() != DType::kBF16) || x.rank() < 1 ||
      x.dim(-1) != weight.codes.columns())
    failed("outlier_linear takes x [..., {}] of f32 or bf16, got {}", weight.codes.columns(), x.to_string());
  if (bias.defined() && (bias.shape() != per_row || bias.dtype() != DType::kF32))
    failed("outlier_linear takes a bias f32{}, got {}", per_row.to_string(), bias.to_string());
  if (x.device() != weight.codes.device() || x.device() != weight.scales.device())
    failed("outlier_linear has x on {} and its weight on {}", name_of(x.device()),
           name_of(weight.codes.device()));
  if (autograd::needed(x)) failed("outlier_linear passes no gradient on; train the model without it");
}

/// To the nearest number of 16 significant bits.
float rounded_scale(float scale) {
  const uint32_t bits = std::bit_cast<uint32_t>(scale);
  return std::bit_cast<float>((bits + 0x7fu + (bits >> 8 & 1)) & 0xffffff00u);
}

}  // namespace

ByteRows byte_rows(const Weight& weight) {
  const int64_t rows = weight.rows(), columns = weight.columns();
  const Weight source = weight.to(Device::kCpu);
  Tensor codes = Tensor::empty({rows, columns}, DType::kU8);
  Tensor scales = Tensor::empty({rows}, DType::kF32);
  auto* to = reinterpret_cast<int8_t*>(codes.mutable_host_bytes());
  float* scale_of = scales.mutable_data<float>();
  // Whole groups of sixteen, as interleaved weights are cut.
  constexpr int64_t kRowsATime = 64;
  for (int64_t first = 0; first < rows; first += kRowsATime) {
    const int64_t last = std::min(rows, first + kRowsATime);
    const Tensor values = source.rows(first, last).unpack();
    const float* from = values.data<float>();
    parallel_for(last - first, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float* w = from + row * columns;
        float most = 0;
        for (int64_t k = 0; k < columns; ++k) {
          if (!std::isfinite(w[k])) bad_input("a weight is {}; only finite ones can be rounded", w[k]);
          most = std::max(most, std::fabs(w[k]));
        }
        const float scale = most < 0x1p-100f ? 0.0f : rounded_scale(most / 127.0f);
        scale_of[first + row] = scale;
        const double steps = scale == 0 ? 0 : 127.0 / double{most};
        for (int64_t k = 0; k < columns; ++k)
          to[(first + row) * columns + k] = static_cast<int8_t>(std::nearbyint(double{w[k]} * steps));
      }
    });
  }
  return {Weight(packed::kInt8, codes, columns), scales};
}

Tensor outlier_linear(const Tensor& x, const ByteRows& weight, float threshold, const Tensor& bias) {
  check(x, weight, bias);
  const int64_t columns = weight.codes.columns(), rows = weight.codes.rows();
  const int64_t tokens = x.shape().without(-1).element_count();
  Tensor y = Tensor::empty({tokens, rows}, DType::kF32, x.device());
  const OutlierProblem problem{cast(x.detach(), DType::kF32).contiguous().reshape({tokens, columns}), weight,
                               threshold, bias.defined() ? bias.contiguous() : bias, y};
  choose<OutlierProblem>("outlier_linear", kKernels, x.device(), problem).run(problem);
  Shape shape = x.shape();
  shape[x.rank() - 1] = rows;
  return cast(y, x.dtype()).reshape(shape);
}

Cost outlier_linear_cost(int64_t tokens, const ByteRows& weight) {
  const auto rows = static_cast<double>(weight.codes.rows());
  const auto columns = static_cast<double>(weight.codes.columns());
  const auto count = static_cast<double>(tokens);
  return {2 * count * rows * columns, rows * columns + 4 * rows + 4 * count * columns, 4 * count * rows};
}

}  // namespace martlet::ops
