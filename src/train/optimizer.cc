#include "train/optimizer.h"

#include <cmath>
#include <set>

#include "base/error.h"
#include "nn/tree.h"
#include "ops/sum_of_squares.h"
#include "train/optimizers.h"

namespace martlet::train {
namespace {

struct KnownOptimizer {
  std::string_view name;
  std::unique_ptr<Optimizer> (*make)(std::vector<TrainedParameter>, const OptimizerOptions&);
};

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
  for (size_t i = 0; i < parameters_.size(); ++i) {
    nn::Parameter& parameter = *parameters_[i].parameter;
    if (parameter.gradient().defined())
      update(i, parameter.tensor().detach(), parameter.gradient(), learning_rate, gradient_scale);
  }
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
