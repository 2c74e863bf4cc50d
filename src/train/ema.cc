#include "train/ema.h"

#include <algorithm>

#include "base/error.h"
#include "ops/exchange.h"
#include "ops/moving_average.h"

namespace martlet::train {

Ema::Ema(std::vector<TrainedParameter> parameters, double decay)
    : parameters_(std::move(parameters)), decay_(decay) {
  if (!(decay_ >= 0 && decay_ < 1)) bad_input("an average keeps from 0 to below 1, not {}", decay_);
  const OwnerScope owner(Owner::kOptimiser);
  for (const TrainedParameter& trained : parameters_)
    averages_.push_back(trained.parameter->tensor().detach().clone());
}

void Ema::update(int64_t step) {
  const auto steps = static_cast<double>(step);
  const double keep = std::min(decay_, steps / (steps + 9));
  for (size_t i = 0; i < averages_.size(); ++i)
    ops::moving_average(averages_[i], parameters_[i].parameter->tensor().detach(), 1 - keep);
}

void Ema::swap() {
  for (size_t i = 0; i < averages_.size(); ++i)
    ops::exchange(parameters_[i].parameter->tensor().detach(), averages_[i]);
}

std::vector<std::pair<std::string, Tensor>> Ema::state() const {
  std::vector<std::pair<std::string, Tensor>> named;
  for (size_t i = 0; i < averages_.size(); ++i) named.emplace_back(parameters_[i].path, averages_[i]);
  return named;
}

}  // namespace martlet::train
