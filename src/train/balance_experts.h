#pragma once

#include <vector>

#include "nn/rewrite.h"

namespace martlet::train {

/// Training adds a loss to the mean cross-entropy that is least where tokens go to all experts alike.
/// Arguments: `pattern` of feed-forwards, `coefficient`.
extern const nn::Rewrite kBalanceExperts;

/// What the routers of one tree saw in their last forward, all layers together.
class ExpertBalance {
 public:
  ExpertBalance(double coefficient, int64_t experts, size_t layers)
      : coefficient_(coefficient), experts_(experts), seen_(layers) {}

  /// In one layer: how many tokens chose each expert, and the sum over tokens of its probability.
  struct Seen {
    std::vector<double> chosen, probabilities;  ///< [experts]
    int64_t tokens = 0;
  };
  void see(size_t layer, Seen seen) { seen_[layer] = std::move(seen); }

  /// coefficient * experts * sum over experts of (its share of the choices) * (its mean probability), where a
  /// token's choices count 1 each.
  double loss() const;
  /// The gradient of that loss with respect to every token's probabilities: the same for all. [experts]
  std::vector<float> gradient() const;

  /// What the backward that comes multiplies its gradients by.
  void set_scale(double scale) { scale_ = scale; }

 private:
  Seen all_layers() const;

  double coefficient_;
  int64_t experts_;
  double scale_ = 1;
  std::vector<Seen> seen_;
};

/// That of a tree to which the rewrite was applied; null for others.
ExpertBalance* expert_balance_of(const nn::Module& tree);

}  // namespace martlet::train
