// Adafactor: a matrix's second moments are kept as those of its rows and its columns, so that what it
// remembers is a vector each. V = r c^T / mean(r); the update g / sqrt(V) is cut down to a root mean square
// of 1 at most. Rates are absolute here, as for the other optimisers: no relative steps, no momentum.
#include <algorithm>
#include <cmath>

#include "ops/binary.h"
#include "ops/optimizer_steps.h"
#include "ops/reduce.h"
#include "ops/sum_of_squares.h"
#include "ops/unary.h"
#include "train/optimizers.h"

namespace martlet::train {
namespace {

constexpr double kLeastSquare = 1e-30;  // epsilon_1 of the paper
constexpr double kMostRms = 1.0;        // its clipping threshold d
constexpr double kDecayPower = -0.8;    // beta2 of step t is 1 - t^-0.8

class Adafactor final : public Optimizer {
 public:
  Adafactor(std::vector<TrainedParameter> trained, const OptimizerOptions& options)
      : Optimizer(std::move(trained)), options_(options) {
    for (const TrainedParameter& each : parameters()) {
      const Shape& shape = each.parameter->shape();
      const bool factored = shape.rank() == 2;
      rows_.push_back(Tensor::zeros(factored ? Shape{shape[0], 1} : shape, DType::kF32));
      columns_.push_back(factored ? Tensor::zeros({1, shape[1]}, DType::kF32) : Tensor());
    }
  }

  std::string_view name() const override { return "adafactor"; }

  std::vector<std::pair<std::string, Tensor>> state() const override {
    std::vector<std::pair<std::string, Tensor>> named;
    for (size_t i = 0; i < rows_.size(); ++i) {
      named.emplace_back(parameters()[i].path + "/rows", rows_[i]);
      if (columns_[i].defined()) named.emplace_back(parameters()[i].path + "/columns", columns_[i]);
    }
    return named;
  }

 private:
  void update(size_t index, const Tensor& value, const Tensor& gradient, double learning_rate,
              double gradient_scale) override {
    const auto step = static_cast<double>(steps_done());
    const auto beta = static_cast<float>(1 - std::pow(step, kDecayPower));
    const Tensor g = ops::scale(gradient, static_cast<float>(gradient_scale));
    const Tensor squares = ops::shift(ops::square(g), static_cast<float>(kLeastSquare));
    Tensor direction;
    if (columns_[index].defined()) {
      blend(rows_[index], ops::mean(squares, {1}, true), beta);
      blend(columns_[index], ops::mean(squares, {0}, true), beta);
      const Tensor of_rows = ops::divide(rows_[index], ops::mean(rows_[index], {0}, true));
      direction = ops::multiply(ops::multiply(g, ops::reciprocal_square_root(of_rows)),
                                ops::reciprocal_square_root(columns_[index]));
    } else {
      blend(rows_[index], squares, beta);
      direction = ops::multiply(g, ops::reciprocal_square_root(rows_[index]));
    }
    const double rms = std::sqrt(ops::sum_of_squares(direction) /
                                 static_cast<double>(std::max<int64_t>(1, direction.element_count())));
    ops::sgd_step({.learning_rate = learning_rate,
                   .weight_decay = parameters()[index].decays ? options_.weight_decay : 0,
                   .gradient_scale = 1 / std::max(1.0, rms / kMostRms)},
                  value, direction, {});
  }

  /// average = beta average + (1 - beta) fresh.
  static void blend(Tensor& average, const Tensor& fresh, float beta) {
    ops::scale_in_place(average, beta);
    ops::add_in_place(average, ops::scale(fresh, 1 - beta));
  }

  OptimizerOptions options_;
  std::vector<Tensor> rows_;  // or all second moments of a vector
  std::vector<Tensor> columns_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adafactor(std::vector<TrainedParameter> parameters,
                                          const OptimizerOptions& options) {
  return std::make_unique<Adafactor>(std::move(parameters), options);
}

}  // namespace martlet::train
