// Optimisers that remember one tensor a parameter.
#include "ops/optimizer_steps.h"
#include "train/optimizers.h"

namespace martlet::train {
namespace {

class WithMoment : public Optimizer {
 public:
  WithMoment(std::vector<TrainedParameter> trained, const OptimizerOptions& its_options)
      : Optimizer(std::move(trained)), options(its_options), moments(zeros_like(parameters())) {}

  std::vector<std::pair<std::string, Tensor>> state() const override {
    std::vector<std::pair<std::string, Tensor>> named;
    for (size_t i = 0; i < moments.size(); ++i)
      named.emplace_back(parameters()[i].path + "/moment", moments[i]);
    return named;
  }

 protected:
  double decay(size_t index) const { return parameters()[index].decays ? options.weight_decay : 0; }

  OptimizerOptions options;
  std::vector<Tensor> moments;
};

class Sgd final : public WithMoment {
 public:
  using WithMoment::WithMoment;
  std::string_view name() const override { return "sgd"; }

 private:
  void update(size_t index, const Tensor& value, const Tensor& gradient, double learning_rate,
              double gradient_scale) override {
    ops::sgd_step({.learning_rate = learning_rate,
                   .momentum = options.beta1,
                   .weight_decay = decay(index),
                   .gradient_scale = gradient_scale},
                  value, gradient, moments[index]);
  }
};

class Lion final : public WithMoment {
 public:
  using WithMoment::WithMoment;
  std::string_view name() const override { return "lion"; }

 private:
  void update(size_t index, const Tensor& value, const Tensor& gradient, double learning_rate,
              double gradient_scale) override {
    ops::lion_step({.learning_rate = learning_rate,
                    .beta1 = options.beta1,
                    .beta2 = options.beta2,
                    .weight_decay = decay(index),
                    .gradient_scale = gradient_scale},
                   value, gradient, moments[index]);
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(std::vector<TrainedParameter> parameters,
                                    const OptimizerOptions& options) {
  return std::make_unique<Sgd>(std::move(parameters), options);
}

std::unique_ptr<Optimizer> make_lion(std::vector<TrainedParameter> parameters,
                                     const OptimizerOptions& options) {
  return std::make_unique<Lion>(std::move(parameters), options);
}

}  // namespace martlet::train
