// How tokens are grouped. A token's chosen experts are its places; all places of a batch are sorted by
// expert, those of one expert by token. One gather brings the rows of x into that order, each expert then
// reads a run of rows, and one scattered sum brings the results back. The sum over a token's places is taken
// in that order too: by expert, whatever other tokens are there.
#include "nn/sparse_experts.h"

#include <cmath>
#include <numeric>

#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/concat.h"
#include "ops/dry_run.h"
#include "ops/gather.h"
#include "ops/indices.h"
#include "ops/reduce.h"
#include "ops/scatter.h"
#include "ops/softmax.h"
#include "ops/top_k.h"
#include "ops/unary.h"

namespace martlet::nn {
namespace {

/// Which experts each token goes through.
struct Choice {
  std::vector<int64_t> experts;  ///< [tokens * chosen]
  Tensor weights;                ///< [tokens * chosen, 1] f32
};

Choice choose_experts(const Tensor& scores, const SparseExpertsShape& shape) {
  ops::TopK best = ops::top_k(ops::softmax(scores), shape.chosen);
  if (shape.normalises) best.values = ops::divide(best.values, ops::sum(best.values, {-1}, true));
  const int64_t places = best.values.element_count();
  Choice choice;
  choice.weights = best.values.reshape({places, 1});
  if (ops::DryRun::current() != nullptr) {
    // Nothing was computed: as if all experts were chosen alike.
    choice.experts.resize(static_cast<size_t>(places));
    for (size_t place = 0; place < choice.experts.size(); ++place)
      choice.experts[place] = static_cast<int64_t>(place) % shape.experts;
  } else {
    choice.experts = ops::indices_of("experts", best.indices);
  }
  return choice;
}

/// The places of a choice sorted by expert.
struct Grouping {
  std::vector<int64_t> places;
  std::vector<int64_t> tokens;  ///< of each of these
  std::vector<int64_t> starts;  ///< of each expert's run; [experts + 1]
};

Grouping grouped(const std::vector<int64_t>& chosen, const SparseExpertsShape& shape) {
  Grouping grouping;
  grouping.starts.assign(static_cast<size_t>(shape.experts) + 1, 0);
  for (const int64_t expert : chosen) ++grouping.starts[static_cast<size_t>(expert) + 1];
  std::partial_sum(grouping.starts.begin(), grouping.starts.end(), grouping.starts.begin());
  std::vector<int64_t> next(grouping.starts.begin(), grouping.starts.end() - 1);
  grouping.places.resize(chosen.size());
  grouping.tokens.resize(chosen.size());
  for (size_t place = 0; place < chosen.size(); ++place) {
    const auto at = static_cast<size_t>(next[static_cast<size_t>(chosen[place])]++);
    grouping.places[at] = static_cast<int64_t>(place);
    grouping.tokens[at] = static_cast<int64_t>(place) / shape.chosen;
  }
  return grouping;
}

/// What the experts of a single token give: all their gates and ups read the same x, at once. Nothing where
/// one of them is no plain gated feed-forward.
std::vector<Tensor> of_one_token(const Tensor& x, const ModuleList<FeedForward>& experts,
                                 const Grouping& grouping, ops::Unary activation) {
  std::vector<GatedFeedForward*> chosen;
  std::vector<Linear*> linears;
  for (size_t expert = 0; expert < experts.size(); ++expert) {
    if (grouping.starts[expert] == grouping.starts[expert + 1]) continue;
    auto* gated = dynamic_cast<GatedFeedForward*>(&experts[expert]);
    if (gated == nullptr || gated->details() != ops::name_of(activation)) return {};
    chosen.push_back(gated);
    linears.push_back(gated->gate_proj.get().get());
    linears.push_back(gated->up_proj.get().get());
  }
  std::vector<Tensor> gates = forward_together(x, linears);
  std::vector<Tensor> results;
  for (size_t i = 0; i < chosen.size(); ++i) {
    ops::gated_in_place(activation, gates[2 * i], gates[2 * i + 1]);
    results.push_back(chosen[i]->down_proj->forward(gates[2 * i]));
  }
  return results;
}

Tensor indices(const std::vector<int64_t>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())});
}

}  // namespace

SparseExperts::SparseExperts(const SparseExpertsShape& shape)
    : router(*this, "router", std::make_shared<AffineLinear>(shape.hidden_size, shape.experts, false)),
      experts(*this, "experts", std::make_shared<ModuleList<FeedForward>>()),
      shared_expert(*this, "shared_expert"),
      shared_expert_gate(*this, "shared_expert_gate"),
      shape_(shape) {
  for (int64_t expert = 0; expert < shape.experts; ++expert)
    experts->push_back(std::make_shared<GatedFeedForward>(shape.hidden_size, shape.intermediate_size,
                                                          shape.activation, false));
  if (shape.shared_size == 0) return;
  shared_expert.set(
      std::make_shared<GatedFeedForward>(shape.hidden_size, shape.shared_size, shape.activation, false));
  shared_expert_gate.set(std::make_shared<AffineLinear>(shape.hidden_size, 1, false));
}

std::string SparseExperts::details() const {
  return fmt::format("{} of {} experts{}{}", shape_.chosen, shape_.experts,
                     shape_.normalises ? "" : ", weights not normalised",
                     shape_.shared_size > 0 ? ", one more for all tokens" : "");
}

Tensor SparseExperts::forward(const Tensor& x) {
  const Choice choice = choose_experts(ops::cast(router->forward(x), DType::kF32), shape_);
  const Grouping grouping = grouped(choice.experts, shape_);
  const Tensor tokens = indices(grouping.tokens).to(x.device());
  std::vector<Tensor> results;
  if (x.dim(0) == 1) results = of_one_token(x, *experts, grouping, shape_.activation);
  const Tensor rows = results.empty() ? ops::index_select(x, 0, tokens) : Tensor();
  for (int64_t expert = 0; rows.defined() && expert < shape_.experts; ++expert) {
    const int64_t begin = grouping.starts[static_cast<size_t>(expert)];
    const int64_t end = grouping.starts[static_cast<size_t>(expert) + 1];
    if (begin < end)
      results.push_back((*experts)[static_cast<size_t>(expert)].forward(rows.slice(0, begin, end)));
  }
  const DType dtype = results.empty() ? x.dtype() : results.front().dtype();
  Tensor sum = Tensor::zeros({x.dim(0), shape_.hidden_size}, DType::kF32, x.device());
  if (!results.empty()) {
    Tensor given = ops::cast(ops::concat(results, 0), DType::kF32);
    results.clear();
    ops::multiply_in_place(given,
                           ops::index_select(choice.weights, 0, indices(grouping.places).to(x.device())));
    ops::index_add_in_place(sum, 0, tokens, given);
  }
  if (shared_expert) {
    const Tensor weight = ops::sigmoid(ops::cast(shared_expert_gate->forward(x), DType::kF32));
    ops::add_in_place(sum, ops::multiply(ops::cast(shared_expert->forward(x), DType::kF32), weight));
  }
  return ops::cast(sum, dtype);
}

void walk_with_use(const ModulePtr& root,
                   const std::function<void(const std::string&, const ModulePtr&, double)>& visit) {
  std::string experts;  // the path below which the last experts seen stand
  double use = 1;
  walk(root, [&](const std::string& path, const ModulePtr& module) {
    if (const auto* sparse = dynamic_cast<const SparseExperts*>(module.get()); sparse != nullptr) {
      experts = path.empty() ? "experts." : path + ".experts.";
      use = static_cast<double>(sparse->shape().chosen) / static_cast<double>(sparse->shape().experts);
    }
    visit(path, module, !experts.empty() && path.starts_with(experts) ? use : 1.0);
  });
}

double part_in_use(double use, double tokens) {
  return 1 - std::pow(1 - use, tokens);
}

}  // namespace martlet::nn
