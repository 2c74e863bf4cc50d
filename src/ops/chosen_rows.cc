#include "ops/chosen_rows.h"

#include <algorithm>
#include <vector>

#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/cpu/gradient_kernels.h"
#include "ops/cpu/linear_kernels.h"
#include "ops/cpu/row_kernels.h"
#include "ops/kernel.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

/// Columns of a piece of a row: whole blocks of every packed format.
constexpr int64_t kPieceColumns = 256;
/// Elements of rows that are worth a thread.
constexpr int64_t kThreadElements = 1 << 15;

struct ChosenRowsProblem {
  const Tensor& x;       ///< [tokens, columns]; of a sum nothing
  const Weight& weight;  ///< [n, columns]
  const Tensor& chosen;  ///< [tokens, n]: those that are not zero, or factors
  Tensor out;
};

Cost cost_of(const ChosenRowsProblem& problem) {
  Cost cost;
  cost.kind = problem.weight.type_name();
  cost.operations = 2.0 * static_cast<double>(problem.chosen.dim(0) * problem.weight.rows()) *
                    static_cast<double>(problem.weight.columns());
  cost.bytes_read = static_cast<double>(problem.weight.byte_count() + problem.chosen.byte_count());
  cost.bytes_written = static_cast<double>(problem.out.byte_count());
  return cost;
}

/// Tokens that choose row `row`, into `tokens`.
void find_tokens(const Tensor& chosen, int64_t row, std::vector<int64_t>& tokens) {
  tokens.clear();
  const float* at = chosen.data<float>() + row;
  for (int64_t token = 0; token < chosen.dim(0); ++token, at += chosen.dim(1))
    if (*at != 0) tokens.push_back(token);
}

int64_t row_bytes(const Weight& weight) {
  return weight.byte_count() / std::max<int64_t>(1, weight.rows());
}

void run_products(const ChosenRowsProblem& problem) {
  const Weight& weight = problem.weight;
  const cpu::LinearKernels& linear = cpu::linear_kernels(weight.type_name(), DType::kF32);
  const cpu::GradientKernels& rows = cpu::gradient_kernels();
  const int64_t columns = weight.columns(), count = weight.rows();
  const float* x = problem.x.data<float>();
  float* out = problem.out.mutable_data<float>();
  const int64_t grain = std::max<int64_t>(1, kThreadElements / std::max<int64_t>(1, columns));
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(columns));
    std::vector<int64_t> tokens;
    for (int64_t i = begin; i < end; ++i) {
      find_tokens(problem.chosen, i, tokens);
      if (tokens.empty()) continue;
      linear.unpack(weight.storage().host_bytes() + i * row_bytes(weight), columns, row.data());
      for (const int64_t token : tokens)
        out[token * count + i] = static_cast<float>(rows.dot(x + token * columns, row.data(), columns));
    }
  });
}

void run_sum(const ChosenRowsProblem& problem) {
  const Weight& weight = problem.weight;
  const cpu::LinearKernels& linear = cpu::linear_kernels(weight.type_name(), DType::kF32);
  const cpu::RowKernels& rows = cpu::row_kernels();
  const int64_t columns = weight.columns(), count = weight.rows();
  const int64_t piece_bytes = weight.is_packed() ? weight.format().row_bytes(kPieceColumns)
                                                 : kPieceColumns * size_of(weight.dense().dtype());
  const float* factors = problem.chosen.data<float>();
  float* out = problem.out.mutable_data<float>();
  std::fill_n(out, problem.out.element_count(), 0.0f);
  const int64_t pieces = (columns + kPieceColumns - 1) / kPieceColumns;
  // Threads share columns, so that every element's chain is one thread's.
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kPieceColumns;
    const int64_t width = std::min(end * kPieceColumns, columns) - first;
    std::vector<float> row(static_cast<size_t>(width));
    std::vector<int64_t> tokens;
    for (int64_t i = 0; i < count; ++i) {
      find_tokens(problem.chosen, i, tokens);
      if (tokens.empty()) continue;
      linear.unpack(weight.storage().host_bytes() + i * row_bytes(weight) + begin * piece_bytes, width,
                    row.data());
      for (const int64_t token : tokens)
        rows.add_scaled(row.data(), factors[token * count + i], out + token * columns + first, width);
    }
  });
}

/// Elements of the weight, unpacked, on the reference device.
Tensor reference_rows(const Weight& weight) {
  return weight.is_packed() ? weight.unpack() : weight.dense();
}

void reference_products(const ChosenRowsProblem& problem) {
  const Tensor rows = reference_rows(problem.weight);
  const Elements x(problem.x), weight(rows), chosen(problem.chosen);
  Elements out(problem.out);
  const int64_t columns = problem.weight.columns(), count = problem.weight.rows();
  for (int64_t at = 0; at < out.count(); ++at) {
    double sum = 0;
    for (int64_t k = 0; chosen[at] != 0 && k < columns; ++k)
      sum += x[at / count * columns + k] * weight[at % count * columns + k];
    out.set(at, sum);
  }
}

void reference_sum(const ChosenRowsProblem& problem) {
  const Tensor rows = reference_rows(problem.weight);
  const Elements weight(rows), factors(problem.chosen);
  Elements out(problem.out);
  const int64_t columns = problem.weight.columns(), count = problem.weight.rows();
  for (int64_t at = 0; at < out.count(); ++at) {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) {
      const double factor = factors[at / columns * count + i];
      if (factor != 0) sum += factor * weight[i * columns + at % columns];
    }
    out.set(at, sum);
  }
}

constexpr Kernel<ChosenRowsProblem> kProducts[] = {
    {"cpu", Device::kCpu, nullptr, run_products},
    {"reference", Device::kReference, nullptr, reference_products},
};
constexpr Kernel<ChosenRowsProblem> kSums[] = {
    {"cpu", Device::kCpu, nullptr, run_sum},
    {"reference", Device::kReference, nullptr, reference_sum},
};

bool is_matrix(const Tensor& tensor, Device device) {
  return tensor.defined() && tensor.rank() == 2 && tensor.dtype() == DType::kF32 && tensor.is_contiguous() &&
         tensor.device() == device;
}

void check(std::string_view name, const Weight& weight, const Tensor& chosen) {
  if (!weight.defined() || weight.is_interleaved())
    failed("{} takes a weight as it is stored, got {}", name, weight.defined() ? "one interleaved" : "none");
  if (!is_matrix(chosen, weight.device()) || chosen.dim(1) != weight.rows())
    failed("{} of {} rows takes factors f32[tokens, {}], got {}", name, weight.rows(), weight.rows(),
           chosen.to_string());
}

}  // namespace

Tensor products_where(const Tensor& x, const Weight& weight, const Tensor& chosen) {
  check("products_where", weight, chosen);
  if (!is_matrix(x, weight.device()) || x.dim(0) != chosen.dim(0) || x.dim(1) != weight.columns())
    failed("products_where takes x f32[{}, {}], got {}", chosen.dim(0), weight.columns(), x.to_string());
  if (autograd::needed(x) || autograd::needed(weight.storage())) failed("products_where has no gradient");
  const ChosenRowsProblem problem{x, weight, chosen, Tensor::zeros(chosen.shape(), DType::kF32, x.device())};
  choose<ChosenRowsProblem>("products_where", kProducts, x.device(), problem).run(problem);
  return problem.out;
}

Tensor sum_of_rows(const Tensor& factors, const Weight& weight) {
  check("sum_of_rows", weight, factors);
  if (autograd::needed(factors) || autograd::needed(weight.storage())) failed("sum_of_rows has no gradient");
  const Shape shape{factors.dim(0), weight.columns()};
  const ChosenRowsProblem problem{factors, weight, factors,
                                  Tensor::empty(shape, DType::kF32, factors.device())};
  choose<ChosenRowsProblem>("sum_of_rows", kSums, factors.device(), problem).run(problem);
  return problem.out;
}

}  // namespace martlet::ops
