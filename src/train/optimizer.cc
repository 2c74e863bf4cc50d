#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/thread_pool.h"
#include "nn/tree.h"
#include "ops/sum_of_squares.h"
#include "train/optimizers.h"

namespace martlet::train {
namespace {

struct KnownOptimizer {
  std::string_view name;
  std::unique_ptr<Optimizer> (*make)(std::vector<TrainedParameter>, const OptimizerOptions&);
};

// Elements. A product of two matrices of this size takes a thread some milliseconds, a step over their
// elements some hundred microseconds: what Muon and AdamW do to one is work enough.
constexpr int64_t kSmallParameter = int64_t{1} << 19;

constexpr KnownOptimizer kKnown[] = {
    {"adamw", make_adamw},         {"sgd", make_sgd}, {"lion", make_lion}, {"muon", make_muon},
    {"adafactor", make_adafactor},
};

}  // namespace

std::vector<TrainedParameter> trained_parameters(const nn::Module& tree) {
  std::vector<TrainedParameter> found;
  std::set<const void*> seen;
  nn::walk_parameters(tree, [&](const std::string& path, nn::Parameter& parameter) {
    if (!parameter.requires_gradient() || !seen.insert(parameter.identity()).second) return;
    const bool is_matrix = parameter.shape().rank() >= 2;
    found.push_back({path, &parameter, is_matrix, is_matrix && path.starts_with("layers.")});
  });
  return found;
}

void Optimizer::step(double learning_rate, double gradient_scale) {
  ++steps_done_;
  int64_t largest = 0;
  for (const TrainedParameter& trained : parameters_)
    largest = std::max(largest, trained.parameter->shape().element_count());
  const auto update_some = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      nn::Parameter& parameter = *parameters_[static_cast<size_t>(i)].parameter;
      const Tensor& gradient = parameter.gradient();
      update(static_cast<size_t>(i), parameter.tensor().detach(),
             gradient.defined() ? gradient : Tensor::zeros(parameter.shape(), DType::kF32), learning_rate,
             gradient_scale);
    }
  };
  const auto count = static_cast<int64_t>(parameters_.size());
  // Where every parameter is small, threads take whole ones, since its kernels would leave each too little to
  // do; the bits are the same. Otherwise kernels share out each parameter.
  if (largest <= kSmallParameter)
    parallel_for(count, 1, update_some);
  else
    update_some(0, count);
}

std::unique_ptr<Optimizer> make_optimizer(std::string_view name, std::vector<TrainedParameter> parameters,
                                          const OptimizerOptions& options) {
  const OwnerScope owner(Owner::kOptimiser);
  std::string names;
  for (const KnownOptimizer& known : kKnown) {
    if (known.name == name) return known.make(std::move(parameters), options);
    names += fmt::format("{}{}", names.empty() ? "" : ", ", known.name);
  }
  bad_input("there is no optimiser '{}'; known are {}", name, names);
}

std::vector<std::string> optimizer_names() {
  std::vector<std::string> names;
  for (const KnownOptimizer& known : kKnown) names.emplace_back(known.name);
  return names;
}

double gradient_norm(std::span<const TrainedParameter> parameters) {
  double squares = 0;
  for (const TrainedParameter& trained : parameters) {
    const Tensor& gradient = trained.parameter->gradient();
    if (gradient.defined()) squares += ops::sum_of_squares(gradient);
  }
  return std::sqrt(squares);
}

}  // namespace martlet::train
