// Muon: the momentum of a matrix is replaced by the nearest matrix with equal singular values, so that every
// direction of the update counts alike. Newton-Schulz steps reach it with products alone: with A = X X^T,
// X <- a X + (b A + c A^2) X, five times; the coefficients push singular values into about [0.7, 1.2] as fast
// as a quintic can. The update is scaled by 0.2 sqrt(max(rows, columns)), which gives it the size of AdamW's,
// so that rates and decay carry over (Liu et al., "Muon is Scalable for LLM Training", 2025). Vectors,
// embeddings and the head go by AdamW.
#include <algorithm>
#include <cmath>

#include "ops/binary.h"
#include "ops/matmul.h"
#include "ops/optimizer_steps.h"
#include "ops/sum_of_squares.h"
#include "ops/unary.h"
#include "train/optimizers.h"

namespace martlet::train {
namespace {

constexpr double kA = 3.4445, kB = -4.7750, kC = 2.0315;
constexpr int kIterations = 5;
constexpr double kSizeOfAdamW = 0.2;
// Muon's momentum is not the first moment of AdamW: what the paper uses.
constexpr double kMomentum = 0.95;

/// m [rows, columns] with its singular values near 1.
Tensor orthogonalised(const Tensor& m) {
  const bool tall = m.dim(0) > m.dim(1);
  Tensor x = ops::scale(tall ? m.transpose(0, 1).contiguous() : m,
                        static_cast<float>(1 / (std::sqrt(ops::sum_of_squares(m)) + 1e-7)));
  for (int i = 0; i < kIterations; ++i) {
    const Tensor a = ops::matmul(x, x.transpose(0, 1));
    const Tensor polynomial = ops::scale(a, static_cast<float>(kB));
    ops::matmul_add_in_place(polynomial, ops::scale(a, static_cast<float>(kC)), a);
    const Tensor next = ops::scale(x, static_cast<float>(kA));
    ops::matmul_add_in_place(next, polynomial, x);
    x = next;
  }
  return tall ? x.transpose(0, 1).contiguous() : x;
}

class Muon final : public Optimizer {
 public:
  Muon(std::vector<TrainedParameter> trained, const OptimizerOptions& options)
      : Optimizer(std::move(trained)), options_(options), first_(zeros_like(parameters())) {
    for (const TrainedParameter& each : parameters())
      second_.push_back(each.hidden ? Tensor() : Tensor::zeros(each.parameter->shape(), DType::kF32));
  }

  std::string_view name() const override { return "muon"; }

  std::vector<std::pair<std::string, Tensor>> state() const override {
    std::vector<std::pair<std::string, Tensor>> named;
    for (size_t i = 0; i < first_.size(); ++i) {
      named.emplace_back(parameters()[i].path + "/first_moment", first_[i]);
      if (second_[i].defined()) named.emplace_back(parameters()[i].path + "/second_moment", second_[i]);
    }
    return named;
  }

 private:
  void update(size_t index, const Tensor& value, const Tensor& gradient, double learning_rate,
              double gradient_scale) override {
    const double decay = parameters()[index].decays ? options_.weight_decay : 0;
    if (!parameters()[index].hidden) {
      ops::adamw_step({learning_rate, options_.beta1, options_.beta2, options_.epsilon, decay, gradient_scale,
                       steps_done()},
                      value, gradient, first_[index], second_[index]);
      return;
    }
    // Nesterov: momentum b + g, where b is already the new momentum.
    Tensor momentum = first_[index];
    ops::scale_in_place(momentum, static_cast<float>(kMomentum));
    const Tensor scaled = ops::scale(gradient, static_cast<float>(gradient_scale));
    ops::add_in_place(momentum, scaled);
    Tensor ahead = ops::scale(momentum, static_cast<float>(kMomentum));
    ops::add_in_place(ahead, scaled);
    const Tensor direction = orthogonalised(ahead);
    const auto longest = static_cast<double>(std::max(value.dim(0), value.dim(1)));
    ops::sgd_step({.learning_rate = learning_rate,
                   .weight_decay = decay,
                   .gradient_scale = kSizeOfAdamW * std::sqrt(longest)},
                  value, direction, {});
  }

  OptimizerOptions options_;
  std::vector<Tensor> first_;
  std::vector<Tensor> second_;  // of those that go by AdamW
};

}  // namespace

std::unique_ptr<Optimizer> make_muon(std::vector<TrainedParameter> parameters,
                                     const OptimizerOptions& options) {
  return std::make_unique<Muon>(std::move(parameters), options);
}

}  // namespace martlet::train
