#include "ops/optimizer_steps.h"
#include "train/optimizers.h"

namespace martlet::train {
namespace {

class AdamW final : public Optimizer {
 public:
  AdamW(std::vector<TrainedParameter> trained, const OptimizerOptions& options)
      : Optimizer(std::move(trained)),
        options_(options),
        first_(zeros_like(parameters())),
        second_(zeros_like(parameters())) {}

  std::string_view name() const override { return "adamw"; }

  std::vector<std::pair<std::string, Tensor>> state() const override {
    std::vector<std::pair<std::string, Tensor>> named;
    for (size_t i = 0; i < first_.size(); ++i) {
      named.emplace_back(parameters()[i].path + "/first_moment", first_[i]);
      named.emplace_back(parameters()[i].path + "/second_moment", second_[i]);
    }
    return named;
  }

 private:
  void update(size_t index, const Tensor& value, const Tensor& gradient, double learning_rate,
              double gradient_scale) override {
    ops::adamw_step({.learning_rate = learning_rate,
                     .beta1 = options_.beta1,
                     .beta2 = options_.beta2,
                     .epsilon = options_.epsilon,
                     .weight_decay = parameters()[index].decays ? options_.weight_decay : 0,
                     .gradient_scale = gradient_scale,
                     .step = steps_done()},
                    value, gradient, first_[index], second_[index]);
  }

  OptimizerOptions options_;
  std::vector<Tensor> first_;
  std::vector<Tensor> second_;
};

}  // namespace

std::vector<Tensor> zeros_like(std::span<const TrainedParameter> parameters) {
  std::vector<Tensor> zeros;
  for (const TrainedParameter& trained : parameters)
    zeros.push_back(
        Tensor::zeros(trained.parameter->shape(), DType::kF32, trained.parameter->tensor().device()));
  return zeros;
}

std::unique_ptr<Optimizer> make_adamw(std::vector<TrainedParameter> parameters,
                                      const OptimizerOptions& options) {
  return std::make_unique<AdamW>(std::move(parameters), options);
}

}  // namespace martlet::train
