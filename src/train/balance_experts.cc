// What it changes: wraps the routers of sparse experts. A wrapped router gives the scores that it gave, keeps
// count of where they send tokens, and adds to the scores' gradient that of a loss:
//
//   coefficient * experts * sum_e f_e P_e
//
// f_e is how many of a token's choices fall on expert e and P_e the probability that its router gives it,
// both means over all tokens of all layers. The sum is least where all experts are alike; f has no gradient,
// P takes it to the router. When it pays: a router left alone comes to send everything to the few experts
// that were good first, and the others learn nothing. Cost: a softmax over the experts a token and layer, and
// a little of the language model's own loss.
//
// f and P are those of all layers together, as transformers computes it, so that a layer's gradient depends
// on what the others saw: it is made in the backward, when all layers have run. Nothing goes wrong where
// layers run twice (recompute), since the second time they see the same.
//
// Fedus et al., "Switch Transformers", 2021, equations 4 to 6; Shazeer et al., "Outrageously Large Neural
// Networks", 2017.
#include "train/balance_experts.h"

#include <algorithm>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "nn/sparse_experts.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/dry_run.h"
#include "ops/indices.h"
#include "ops/reduce.h"
#include "ops/softmax.h"
#include "ops/top_k.h"
#include "train/no_effect.h"

namespace martlet::train {
namespace {

ExpertBalance::Seen seen_in(const Tensor& probabilities, int64_t chosen) {
  ExpertBalance::Seen seen;
  seen.tokens = probabilities.dim(0);
  seen.chosen.resize(static_cast<size_t>(probabilities.dim(1)));
  for (const int64_t expert : ops::indices_of("experts", ops::top_k(probabilities, chosen).indices))
    ++seen.chosen[static_cast<size_t>(expert)];
  const std::vector<float> sums = ops::sum(probabilities, {0}).to_vector<float>();
  seen.probabilities.assign(sums.begin(), sums.end());
  return seen;
}

class BalancedRouter final : public nn::Linear {
 public:
  BalancedRouter(std::shared_ptr<nn::Linear> router, int64_t chosen, std::shared_ptr<ExpertBalance> balance,
                 size_t layer)
      : inner(*this, std::string(nn::kWrapped), std::move(router)),
        chosen_(chosen),
        balance_(std::move(balance)),
        layer_(layer) {}
  std::string_view kind() const override { return "BalancedRouter"; }

  Tensor forward(const Tensor& x) override {
    const Tensor scores = inner->forward(x);
    if (ops::DryRun::current() != nullptr) return scores;  // nothing was computed that could be counted
    const Tensor probabilities = ops::softmax(ops::cast(scores.detach(), DType::kF32));
    balance_->see(layer_, seen_in(probabilities, chosen_));
    if (!autograd::needed(scores)) return scores;
    Tensor result = scores.detach();
    autograd::record(
        result, "balance_experts", {&scores},
        [balance = balance_, probabilities](const Tensor& gradient, autograd::Gradients& inputs) {
          inputs.add(0, gradient);
          inputs.add(0, ops::cast(of_scores(probabilities, *balance), gradient.dtype()));
        });
    return result;
  }
  int64_t in_features() const override { return inner->in_features(); }
  int64_t out_features() const override { return inner->out_features(); }

  const std::shared_ptr<ExpertBalance>& balance() const { return balance_; }
  nn::Child<nn::Linear> inner;

 private:
  /// The loss's gradient with respect to scores, through softmax: p (g - sum(p g)).
  static Tensor of_scores(const Tensor& probabilities, const ExpertBalance& balance) {
    const std::vector<float> of_each = balance.gradient();
    const Tensor gradient = Tensor::from(of_each, {1, static_cast<int64_t>(of_each.size())});
    const Tensor weighted = ops::multiply(probabilities, gradient.to(probabilities.device()));
    return ops::subtract(weighted, ops::multiply(probabilities, ops::sum(weighted, {-1}, true)));
  }

  int64_t chosen_;
  std::shared_ptr<ExpertBalance> balance_;
  size_t layer_;
};

void apply(nn::TreeEditor& tree, const nn::Arguments& arguments, const nn::RewriteContext&) {
  std::vector<std::pair<std::string, nn::SparseExpertsShape>> found;
  for (const std::string& path : tree.find(arguments.text("pattern"), nn::FeedForward::kRole))
    if (const auto* sparse = dynamic_cast<const nn::SparseExperts*>(tree.innermost(path).get()))
      found.emplace_back(path, sparse->shape());
  if (found.empty())
    bad_input("pattern {} matches no feed-forward of sparse experts, whose routers are what it changes",
              arguments.text("pattern"));
  if (expert_balance_of(*tree.root()) != nullptr) bad_input("the tree's experts are balanced already");
  const int64_t experts = found.front().second.experts;
  for (const auto& [path, shape] : found)
    if (shape.experts != experts)
      bad_input(
          "{} has {} experts and {} has {}; they are balanced over all layers together, so name layers "
          "that have as many",
          found.front().first, experts, path, shape.experts);
  const auto balance = std::make_shared<ExpertBalance>(arguments.real("coefficient"), experts, found.size());
  for (size_t layer = 0; layer < found.size(); ++layer) {
    const std::string path = found[layer].first + ".router";
    auto router = std::dynamic_pointer_cast<nn::Linear>(tree.outermost(path));
    tree.wrap(path, std::make_shared<BalancedRouter>(std::move(router), found[layer].second.chosen, balance,
                                                     layer));
  }
}

constexpr nn::ArgumentDeclaration kArguments[] = {
    {"pattern", nn::ArgumentType::kPattern, "feed-forwards of sparse experts", "layers.*.feed_forward"},
    {.name = "coefficient",
     .type = nn::ArgumentType::kReal,
     .help = "how much the balance counts beside the cross-entropy",
     .fallback = "0.001",
     .low = 0,
     .high = 1e3},
};

}  // namespace

ExpertBalance::Seen ExpertBalance::all_layers() const {
  Seen all{std::vector<double>(static_cast<size_t>(experts_)),
           std::vector<double>(static_cast<size_t>(experts_)), 0};
  for (const Seen& seen : seen_) {
    for (size_t expert = 0; expert < seen.chosen.size(); ++expert) {
      all.chosen[expert] += seen.chosen[expert];
      all.probabilities[expert] += seen.probabilities[expert];
    }
    all.tokens += seen.tokens;
  }
  return all;
}

double ExpertBalance::loss() const {
  const Seen all = all_layers();
  if (all.tokens == 0) return 0;
  const auto tokens = static_cast<double>(all.tokens);
  double sum = 0;
  for (size_t expert = 0; expert < all.chosen.size(); ++expert)
    sum += all.chosen[expert] / tokens * (all.probabilities[expert] / tokens);
  return coefficient_ * static_cast<double>(experts_) * sum;
}

std::vector<float> ExpertBalance::gradient() const {
  const Seen all = all_layers();
  const auto tokens = static_cast<double>(std::max<int64_t>(all.tokens, 1));
  std::vector<float> gradient;
  for (const double chosen : all.chosen)
    gradient.push_back(static_cast<float>(scale_ * coefficient_ * static_cast<double>(experts_) * chosen /
                                          (tokens * tokens)));
  return gradient;
}

ExpertBalance* expert_balance_of(const nn::Module& tree) {
  if (const auto* router = dynamic_cast<const BalancedRouter*>(&tree)) return router->balance().get();
  for (const nn::Slot* slot : tree.children())
    if (const nn::ModulePtr child = slot->module())
      if (ExpertBalance* balance = expert_balance_of(*child)) return balance;
  return nullptr;
}

const nn::Rewrite kBalanceExperts{
    .name = "balance_experts",
    .summary = "training sends tokens to all experts alike, by a second loss",
    .pays =
        "when a model with sparse experts is trained, above all from nothing: routers left alone come to "
        "use a few experts; costs a little of the model's own loss. Brought along where config.json says "
        "output_router_logits",
    .source = "Fedus et al., \"Switch Transformers: Scaling to Trillion Parameter Models\", 2021",
    .role = nn::FeedForward::kRole,
    .exactness = nn::Exactness::kExact,
    .arguments = kArguments,
    .on_disk = {},
    .passing = true,
    .apply = apply,
    .effect = no_effect,
};

}  // namespace martlet::train
