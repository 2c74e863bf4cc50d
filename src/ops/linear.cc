#include "ops/linear.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "autograd/record.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/cpu/linear_bf16.h"
#include "ops/cpu/linear_int8.h"
#include "ops/cpu/linear_int8_kernels.h"
#include "ops/cpu/linear_kernels.h"
#include "ops/cpu/row_kernels.h"
#include "ops/linear_backward.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

struct LinearProblem {
  Tensor x;  ///< [tokens, columns], contiguous
  const Weight& weight;
  Tensor bias;  ///< contiguous, or nothing
  Tensor y;     ///< [tokens, rows]
};

Cost cost_of(const LinearProblem& problem) {
  Cost cost = linear_cost(problem.x.dim(0), problem.weight);
  cost.kind = problem.weight.type_name();
  return cost;
}

/// A row of x as an interleaved weight takes it: multiples of a block's greatest magnitude / steps.
void round_to_codes(const ActivationForm& form, std::vector<double>& row) {
  const int64_t block = form.scale_columns();
  const float steps = form.steps();
  for (size_t first = 0; first < row.size(); first += static_cast<size_t>(block)) {
    const auto begin = row.begin() + static_cast<int64_t>(first);
    const auto end = begin + block;
    const bool finite = std::all_of(begin, end, [](double value) { return std::isfinite(value); });
    float most = 0;
    for (auto value = begin; value != end; ++value)
      most = std::max(most, std::fabs(static_cast<float>(*value)));
    const float inverse = steps / most;
    for (auto value = begin; value != end; ++value) {
      if (!finite)
        *value = NAN;
      else if (most < 0x1p-100f)
        *value = 0;
      else
        *value = double{std::nearbyint(static_cast<float>(*value) * inverse)} * double{most / steps};
    }
  }
}

/// The definition for an interleaved weight: x rounded, then sums in double.
void run_reference_int8(const LinearProblem& problem) {
  const Tensor unpacked = problem.weight.unpack();
  const Elements x(problem.x);
  const Elements w(unpacked);
  Elements y(problem.y);
  const int64_t rows = problem.weight.rows();
  const int64_t columns = problem.weight.columns();
  const ActivationForm form = problem.weight.interleaved_format().activations();
  std::vector<double> rounded(static_cast<size_t>(columns));
  for (int64_t token = 0; token < problem.x.dim(0); ++token) {
    for (int64_t k = 0; k < columns; ++k) rounded[static_cast<size_t>(k)] = x[token * columns + k];
    round_to_codes(form, rounded);
    for (int64_t row = 0; row < rows; ++row) {
      double sum = problem.bias.defined() ? Elements(problem.bias)[row] : 0.0;
      for (int64_t k = 0; k < columns; ++k) sum += rounded[static_cast<size_t>(k)] * w[row * columns + k];
      y.set(token * rows + row, sum);
    }
  }
}

/// The definition: every output is the sum over k in double, rounded once.
void run_reference(const LinearProblem& problem) {
  const Tensor unpacked = problem.weight.is_packed() ? problem.weight.unpack() : problem.weight.dense();
  const Tensor factor = problem.weight.takes_bf16() ? cast(problem.x, DType::kBF16) : problem.x;
  const Elements x(factor);
  const Elements w(unpacked);
  Elements y(problem.y);
  const int64_t rows = problem.weight.rows();
  const int64_t columns = problem.weight.columns();
  for (int64_t i = 0; i < y.count(); ++i) {
    double sum = problem.bias.defined() ? Elements(problem.bias)[i % rows] : 0.0;
    for (int64_t k = 0; k < columns; ++k) sum += x[i / rows * columns + k] * w[i % rows * columns + k];
    y.set(i, sum);
  }
}

/// Whether tiles of bf16 multiply them: x is rounded, or is bf16 as the weight is.
bool takes_tiles(const Tensor& x, const Weight& weight) {
  const bool both = x.dtype() == DType::kBF16 && weight.type_name() == name_of(DType::kBF16);
  return (weight.takes_bf16() || both) && cpu::has_bf16_tiles();
}

std::string_view not_taking_bf16(const LinearProblem& problem) {
  const bool takes = problem.weight.takes_bf16() || takes_tiles(problem.x, problem.weight);
  return takes ? "" : "the weight does not take bf16";
}

const float* bias_of(const Tensor& bias) {
  return bias.defined() ? bias.data<float>() : nullptr;
}

/// Kernels that read x and the bias where they lie and write y at once.
enum class StraightKernels : uint8_t { kNone, kInt8, kBF16Tiles };

void multiply_straight(StraightKernels kernels, const cpu::ActivationRows& x,
                       std::span<const cpu::WeightProduct> products) {
  kernels == StraightKernels::kInt8 ? cpu::multiply_int8(x, products) : cpu::multiply_bf16(x, products);
}

/// The same where x or y are no f32.
void multiply_cast(StraightKernels kernels, const LinearProblem& problem) {
  const Tensor x = cast(problem.x, DType::kF32);
  const bool narrow = problem.y.dtype() != DType::kF32;
  const Tensor y = narrow ? Tensor::empty(problem.y.shape(), DType::kF32) : problem.y;
  const cpu::WeightProduct product{&problem.weight, bias_of(problem.bias), y.mutable_data<float>()};
  multiply_straight(kernels, {x.data<float>(), x.dim(0), x.dim(1)}, std::span(&product, 1));
  if (narrow) problem.y.copy_elements(cast(y, problem.y.dtype()));
}

void run_cpu_int8(const LinearProblem& problem) {
  multiply_cast(StraightKernels::kInt8, problem);
}

void run_cpu_bf16(const LinearProblem& problem) {
  if (cpu::has_bf16_tiles()) return multiply_cast(StraightKernels::kBF16Tiles, problem);
  const Tensor x = cast(problem.x, DType::kBF16);
  const cpu::LinearKernels& kernels = cpu::linear_kernels(problem.weight.type_name(), x.dtype());
  cpu::multiply(kernels, x, problem.weight, bias_of(problem.bias), problem.y);
}

std::string_view not_interleaved(const LinearProblem& problem) {
  return problem.weight.is_interleaved() ? "" : "the weight is not interleaved";
}

void run_cpu(const LinearProblem& problem) {
  const cpu::LinearKernels& kernels = cpu::linear_kernels(problem.weight.type_name(), problem.x.dtype());
  cpu::multiply(kernels, problem.x, problem.weight, bias_of(problem.bias), problem.y);
}

constexpr Kernel<LinearProblem> kKernels[] = {
    {"cpu int8", Device::kCpu, not_interleaved, run_cpu_int8},
    {"cpu bf16", Device::kCpu, not_taking_bf16, run_cpu_bf16},
    {"cpu", Device::kCpu, nullptr, run_cpu},
    {"reference int8", Device::kReference, not_interleaved, run_reference_int8},
    {"reference", Device::kReference, nullptr, run_reference},
};

void check(const Tensor& x, const Weight& weight, const Tensor& bias) {
  if (!x.defined() || !weight.defined()) failed("linear takes a tensor and a weight, got nothing");
  if (x.dtype() != DType::kF32 && x.dtype() != DType::kBF16)
    failed("linear takes x of f32 or bf16, got {}", x.to_string());
  if (x.rank() < 1 || x.dim(-1) != weight.columns())
    failed("linear of a weight {} takes x [..., {}], got {}", weight.shape().to_string(), weight.columns(),
           x.shape().to_string());
  if (x.device() != weight.device())
    failed("linear has x on {} and its weight on {}", name_of(x.device()), name_of(weight.device()));
  if (bias.defined() &&
      (bias.shape() != Shape{weight.rows()} || bias.dtype() != DType::kF32 || bias.device() != x.device()))
    failed("linear takes a bias f32[{}] on {}, got {}", weight.rows(), name_of(x.device()), bias.to_string());
}

/// Those for a product of which nothing is recorded or only counted.
StraightKernels straight_kernels(const Tensor& x, const Weight& weight, const Tensor& bias) {
  const bool reads_in_place = x.device() == Device::kCpu && x.dtype() == DType::kF32 && x.is_contiguous() &&
                              (!bias.defined() || bias.is_contiguous()) && DryRun::current() == nullptr &&
                              !autograd::needed(x, weight.storage(), bias);
  if (!reads_in_place) return StraightKernels::kNone;
  if (weight.is_interleaved()) return StraightKernels::kInt8;
  return weight.takes_bf16() && cpu::has_bf16_tiles() ? StraightKernels::kBF16Tiles : StraightKernels::kNone;
}

/// Whether such kernels take the norm of x themselves, or there is none.
bool goes_straight(const Tensor& x, const std::optional<RmsNormParameters>& norm) {
  if (!norm || !norm->weight.defined()) return true;
  const Tensor& weight = norm->weight;
  return weight.device() == Device::kCpu && is_floating(weight.dtype()) &&
         weight.shape() == Shape{x.dim(-1)} && !autograd::needed(weight);
}

int64_t tokens_of(const Tensor& x) {
  int64_t tokens = 1;
  for (int dim = 0; dim + 1 < x.rank(); ++dim) tokens *= x.dim(dim);
  return tokens;
}

cpu::ActivationRows rows_of(const Tensor& x) {
  return {x.data<float>(), tokens_of(x), x.dim(-1)};
}

/// Calls multiply(rows of x, or of its norm).
template <typename Multiply>
void with_rows_of(const Tensor& x, const std::optional<RmsNormParameters>& norm, const Multiply& multiply) {
  cpu::ActivationRows rows = rows_of(x);
  if (!norm) return multiply(rows);
  const cpu::RmsRows normed(*norm, rows.columns);
  rows.norm = &normed;
  multiply(rows);
}

cpu::WeightProduct product_into(const Tensor& y, const Weight& weight, const Tensor& bias) {
  return {&weight, bias_of(bias), y.mutable_data<float>()};
}

}  // namespace

Tensor linear(const Tensor& x, const Weight& weight, const Tensor& bias) {
  check(x, weight, bias);
  Shape shape = x.shape();
  shape[x.rank() - 1] = weight.rows();
  if (const auto kernels = straight_kernels(x, weight, bias); kernels != StraightKernels::kNone) {
    Tensor y = Tensor::empty(shape, DType::kF32);
    const cpu::WeightProduct product = product_into(y, weight, bias);
    multiply_straight(kernels, rows_of(x), std::span(&product, 1));
    return y;
  }
  const int64_t tokens = tokens_of(x);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  const LinearProblem problem{x.detach().contiguous().reshape({tokens, weight.columns()}), weight,
                              bias.defined() ? bias.contiguous() : bias, y.reshape({tokens, weight.rows()})};
  choose<LinearProblem>("linear", kKernels, x.device(), problem).run(problem);
  if (autograd::needed(x, weight.storage(), bias)) record_linear(y, x, weight, bias);
  return y;
}

std::vector<Tensor> linear_together(const Tensor& x, std::span<const Projection> projections,
                                    const std::optional<RmsNormParameters>& norm) {
  if (projections.empty()) return {};
  const auto kernels_of = [&](const Projection& each) {
    return straight_kernels(x, *each.weight, each.bias);
  };
  const StraightKernels kernels = kernels_of(projections.front());
  const bool together = kernels != StraightKernels::kNone && goes_straight(x, norm) &&
                        std::all_of(projections.begin(), projections.end(),
                                    [&](const Projection& each) { return kernels_of(each) == kernels; });
  if (!together && norm)
    return linear_together(rms_norm(x, norm->weight, norm->eps, norm->weight_offset), projections);
  std::vector<Tensor> results;
  results.reserve(projections.size());
  if (!together) {
    for (const Projection& each : projections) results.push_back(linear(x, *each.weight, each.bias));
    return results;
  }
  std::vector<cpu::WeightProduct> products;
  products.reserve(projections.size());
  Shape shape = x.shape();
  for (const Projection& each : projections) {
    check(x, *each.weight, each.bias);
    shape[x.rank() - 1] = each.weight->rows();
    results.push_back(Tensor::empty(shape, DType::kF32));
    products.push_back(product_into(results.back(), *each.weight, each.bias));
  }
  with_rows_of(x, norm, [&](const cpu::ActivationRows& rows) { multiply_straight(kernels, rows, products); });
  return results;
}

Tensor gated_linear(Unary activation, const Tensor& x, const Projection& gate, const Projection& up,
                    const std::optional<RmsNormParameters>& norm) {
  const Weight& first = *gate.weight;
  const Weight& second = *up.weight;
  const bool joined = straight_kernels(x, first, gate.bias) == StraightKernels::kInt8 &&
                      straight_kernels(x, second, up.bias) == StraightKernels::kInt8 &&
                      goes_straight(x, norm) && &first.interleaved_format() == &second.interleaved_format() &&
                      first.rows() == second.rows() && rows_of(x).tokens > cpu::kFewTokens &&
                      is_activation(activation);
  if (!joined) {
    std::vector<Tensor> both = linear_together(x, std::array{gate, up}, norm);
    gated_in_place(activation, both[0], both[1]);
    return both[0];
  }
  check(x, first, gate.bias);
  check(x, second, up.bias);
  Shape shape = x.shape();
  shape[x.rank() - 1] = first.rows();
  Tensor y = Tensor::empty(shape, DType::kF32);
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const std::array products{product_into(y, first, gate.bias), product_into(y, second, up.bias)};
  const auto join = [&](float* gates, const float* ups, int64_t count) {
    kernels.unary({activation}, gates, gates, count);
    kernels.binary(Binary::kMultiply, gates, ups, gates, count);
  };
  with_rows_of(x, norm,
               [&](const cpu::ActivationRows& rows) { cpu::multiply_int8_joined(rows, products, join); });
  return y;
}

void add_linear_in_place(Tensor& y, const Tensor& x, const Weight& weight, const Tensor& bias) {
  check(x, weight, bias);
  Shape shape = x.shape();
  shape[x.rank() - 1] = weight.rows();
  // Of many rows a tile would wait for what stands in y: reading 256 tokens was slower so in 8 of 12 turns.
  const bool is_few = x.element_count() <= cpu::kFewTokens * x.dim(-1);
  const StraightKernels kernels = straight_kernels(x, weight, bias);
  const bool straight = is_few && kernels != StraightKernels::kNone && y.shape() == shape &&
                        y.dtype() == DType::kF32 && y.device() == Device::kCpu && y.is_contiguous() &&
                        !y.is_read_only() && !y.shares_storage_with(x) && autograd::may_overwrite(y) &&
                        !autograd::needed(y);
  if (!straight) return add_in_place(y, linear(x, weight, bias));
  cpu::WeightProduct product = product_into(y, weight, bias);
  product.adds = true;
  multiply_straight(kernels, rows_of(x), std::span(&product, 1));
}

std::string_view linear_kernel(const Tensor& x, const Weight& weight) {
  check(x, weight, {});
  if (x.device() == Device::kReference) return "reference";
  if (weight.is_interleaved()) return cpu::int8_kernels().name;
  if (takes_tiles(x, weight)) return "AMX BF16";
  if (weight.takes_bf16()) return cpu::linear_kernels(weight.type_name(), DType::kBF16).name;
  return cpu::linear_kernels(weight.type_name(), x.dtype()).name;
}

Cost linear_cost(int64_t tokens, const Weight& weight) {
  const double rows = static_cast<double>(weight.rows());
  const double columns = static_cast<double>(weight.columns());
  const double count = static_cast<double>(tokens);
  return {2 * count * rows * columns, static_cast<double>(weight.byte_count()) + 4 * count * columns,
          4 * count * rows};
}

}  // namespace martlet::ops
