#pragma once

// An exponential moving average of the weights, which often generalises better than the weights themselves.
// Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; exponential as in
// Tarvainen and Valpola, "Mean teachers are better role models", 2017.

#include <string>
#include <utility>
#include <vector>

#include "train/optimizer.h"

namespace martlet::train {

class Ema {
 public:
  /// Starts from the values as they are. `decay`: from 0 to below 1, what the average keeps at an update.
  /// Memory as much as the parameters, of the owner "optimiser".
  Ema(std::vector<TrainedParameter> parameters, double decay);

  /// After the optimiser's update number `step`, counted from 1. Early averages keep less, at most
  /// step / (step + 9): else they would hold on to the first values for long.
  void update(int64_t step);

  /// Exchanges the parameters' values and the averages. To be done twice; see EmaScope.
  void swap();

  /// The averages by their parameters' paths; the very tensors that it works with.
  std::vector<std::pair<std::string, Tensor>> state() const;

 private:
  std::vector<TrainedParameter> parameters_;
  std::vector<Tensor> averages_;
  double decay_;
};

/// While it lives, the model has the averages as its values; does nothing for null.
class EmaScope {
 public:
  explicit EmaScope(Ema* ema) : ema_(ema) {
    if (ema_ != nullptr) ema_->swap();
  }
  ~EmaScope() {
    if (ema_ != nullptr) ema_->swap();
  }
  EmaScope(const EmaScope&) = delete;
  EmaScope& operator=(const EmaScope&) = delete;

 private:
  Ema* ema_;
};

}  // namespace martlet::train
