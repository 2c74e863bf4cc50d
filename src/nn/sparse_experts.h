#pragma once

#include <functional>

#include "nn/layers.h"
#include "nn/tree.h"

namespace martlet::nn {

struct SparseExpertsShape {
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;  ///< of one expert
  int64_t experts = 0;
  int64_t chosen = 0;          ///< experts that each token goes through: from 1 to `experts`
  bool normalises = true;      ///< the weights of a token's experts are made to add up to 1
  int64_t shared_size = 0;     ///< of the expert that all tokens go through; 0: there is none
  ops::Unary activation = {};  ///< of the experts' gates
};

/// A feed-forward of many, of which each token goes through a few: those with the greatest scores. Its result
/// is the sum of what they give, in the order of the experts, each times the softmax of its score. Only
/// experts that some token chose are read, each once for all its tokens, and a token's result has the same
/// bits whatever other tokens are there. Shazeer et al., "Outrageously Large Neural Networks", 2017; Lepikhin
/// et al., "GShard", 2020; the shared expert: Dai et al., "DeepSeekMoE", 2024.
class SparseExperts final : public FeedForward {
 public:
  explicit SparseExperts(const SparseExpertsShape& shape);
  std::string_view kind() const override { return "SparseExperts"; }
  const SparseExpertsShape& shape() const { return shape_; }
  std::string details() const override;
  Tensor forward(const Tensor& x) override;

  Child<Linear> router;  ///< hidden to a score for each expert
  Child<ModuleList<FeedForward>> experts;
  Child<FeedForward> shared_expert;  ///< empty without one
  Child<Linear> shared_expert_gate;  ///< hidden to one: the sigmoid of it weighs the shared expert

 private:
  SparseExpertsShape shape_;
};

/// As `walk`, and with each module the part of all tokens that go through it: 1, and less in experts.
void walk_with_use(
    const ModulePtr& root,
    const std::function<void(const std::string& path, const ModulePtr& module, double use)>& visit);

/// The part of such modules that at least one of `tokens` tokens goes through, choices being independent.
double part_in_use(double use, double tokens);

}  // namespace martlet::nn
