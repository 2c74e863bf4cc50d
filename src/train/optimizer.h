#pragma once

// Optimisers: how parameters follow their gradients.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nn/roles.h"

namespace martlet::train {

/// A parameter that is trained; tied ones once, at the first of their paths.
struct TrainedParameter {
  std::string path;
  nn::Parameter* parameter;
  bool decays;  ///< weight decay applies: two or more dimensions
  bool hidden;  ///< a matrix inside the blocks, neither embedding nor head
};

/// All parameters of the tree that require a gradient, in its order.
std::vector<TrainedParameter> trained_parameters(const nn::Module& tree);

struct OptimizerOptions {
  double beta1 = 0.9;  ///< momentum of SGD and Muon too
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;

  virtual std::string_view name() const = 0;
  /// One update of every parameter by `gradient_scale` times its gradient. One without a gradient, such as an
  /// expert's that no token chose, counts as having zeros: its moments and weight decay go on.
  void step(double learning_rate, double gradient_scale);
  /// What it remembers, by name ("layers.0.attention.q_proj.weight/first_moment"); the tensors are the very
  /// ones that it works with.
  virtual std::vector<std::pair<std::string, Tensor>> state() const = 0;
  int64_t steps_done() const { return steps_done_; }
  /// When a run is taken up again.
  void set_steps_done(int64_t steps) { steps_done_ = steps; }

 protected:
  explicit Optimizer(std::vector<TrainedParameter> parameters) : parameters_(std::move(parameters)) {}
  std::span<const TrainedParameter> parameters() const { return parameters_; }
  virtual void update(size_t index, const Tensor& value, const Tensor& gradient, double learning_rate,
                      double gradient_scale) = 0;

 private:
  std::vector<TrainedParameter> parameters_;
  int64_t steps_done_ = 0;
};

/// "adamw", "sgd", "lion", "muon", "adafactor". Throws BadInput listing those known. Memory belongs to the
/// owner "optimiser".
std::unique_ptr<Optimizer> make_optimizer(std::string_view name, std::vector<TrainedParameter> parameters,
                                          const OptimizerOptions& options);
std::vector<std::string> optimizer_names();

/// The root of the sum of squares of all gradients, each added in double in a fixed order. Parameters without
/// a gradient count as zeros.
double gradient_norm(std::span<const TrainedParameter> parameters);

}  // namespace martlet::train
