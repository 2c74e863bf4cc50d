// Sparse experts against their definition, token by token, and what must not change a bit.

#include "nn/sparse_experts.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <numeric>

#include "autograd/backward.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "ops/dry_run.h"
#include "ops/fill.h"
#include "ops/linear.h"

namespace martlet::nn {
namespace {

Tensor drawn(const Shape& shape, uint64_t seed) {
  const Philox random(seed, 7);
  std::vector<float> values(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i) * 0.5);
  return Tensor::from(values, shape);
}

std::shared_ptr<SparseExperts> module_of(const SparseExpertsShape& shape, uint64_t seed) {
  auto module = std::make_shared<SparseExperts>(shape);
  walk_parameters(*module, [&](const std::string&, Parameter& parameter) {
    parameter.set(drawn(parameter.shape(), ++seed));
  });
  return module;
}

SparseExpertsShape shape_of(int64_t experts, int64_t chosen, bool normalises, int64_t shared) {
  return {.hidden_size = 24,
          .intermediate_size = 40,
          .experts = experts,
          .chosen = chosen,
          .normalises = normalises,
          .shared_size = shared,
          .activation = ops::Unary::kSilu};
}

/// y = W x of one row in double.
std::vector<double> product(Linear& linear, const std::vector<double>& x) {
  const auto& affine = dynamic_cast<const AffineLinear&>(linear);
  const std::vector<float> w = affine.weight.weight().unpack().to_vector<float>();
  std::vector<double> y(w.size() / x.size());
  for (size_t row = 0; row < y.size(); ++row)
    for (size_t k = 0; k < x.size(); ++k) y[row] += double{w[row * x.size() + k]} * x[k];
  return y;
}

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

std::vector<double> through(FeedForward& module, const std::vector<double>& x) {
  const auto& gated = dynamic_cast<const GatedFeedForward&>(module);
  std::vector<double> gate = product(*gated.gate_proj, x);
  const std::vector<double> up = product(*gated.up_proj, x);
  for (size_t i = 0; i < gate.size(); ++i) gate[i] *= sigmoid(gate[i]) * up[i];
  return product(*gated.down_proj, gate);
}

/// The definition, of one token.
std::vector<double> expected(SparseExperts& module, const std::vector<double>& x) {
  const SparseExpertsShape& shape = module.shape();
  std::vector<double> scores = product(*module.router, x);
  double total = 0;
  for (double& score : scores) total += score = std::exp(score);
  std::vector<size_t> order(scores.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  order.resize(static_cast<size_t>(shape.chosen));
  if (shape.normalises) {
    total = 0;
    for (const size_t expert : order) total += scores[expert];
  }
  std::vector<double> y(x.size());
  for (const size_t expert : order) {
    const std::vector<double> given = through((*module.experts)[expert], x);
    for (size_t i = 0; i < y.size(); ++i) y[i] += scores[expert] / total * given[i];
  }
  if (!module.shared_expert) return y;
  const double weight = sigmoid(product(*module.shared_expert_gate, x)[0]);
  const std::vector<double> given = through(*module.shared_expert, x);
  for (size_t i = 0; i < y.size(); ++i) y[i] += weight * given[i];
  return y;
}

class SparseExpertsTest : public ::testing::Test {
 protected:
  ~SparseExpertsTest() override { set_thread_count(0); }
};

TEST_F(SparseExpertsTest, GiveWhatTheirDefinitionSays) {
  uint64_t seed = 0;
  for (const SparseExpertsShape& shape :
       {shape_of(1, 1, true, 0), shape_of(5, 2, true, 0), shape_of(7, 3, false, 16), shape_of(4, 4, false, 0),
        shape_of(64, 6, true, 8)}) {
    const auto module = module_of(shape, seed += 100);
    for (const int64_t tokens : {1, 3, 50}) {
      const Tensor x = drawn({tokens, shape.hidden_size}, seed + static_cast<uint64_t>(tokens));
      const std::vector<float> rows = x.to_vector<float>();
      const std::vector<float> got = module->forward(x).to_vector<float>();
      for (int64_t token = 0; token < tokens; ++token) {
        const auto from = rows.begin() + token * shape.hidden_size;
        const std::vector<double> want = expected(*module, {from, from + shape.hidden_size});
        for (size_t i = 0; i < want.size(); ++i)
          ASSERT_NEAR(got[static_cast<size_t>(token * shape.hidden_size) + i], want[i], 2e-5)
              << module->details() << ", token " << token;
      }
    }
  }
}

TEST_F(SparseExpertsTest, ATokenHasTheSameBitsAloneAndInAnyBatchAndOnAnyThreads) {
  const auto module = module_of(shape_of(6, 3, true, 16), 1);
  const Tensor x = drawn({70, 24}, 2);
  set_thread_count(1);
  const std::vector<float> all = module->forward(x).to_vector<float>();
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    EXPECT_EQ(module->forward(x).to_vector<float>(), all) << threads;
    for (const auto& [begin, end] : {std::pair{0, 1}, {5, 6}, {69, 70}, {3, 20}, {20, 70}}) {
      const std::vector<float> some = module->forward(x.slice(0, begin, end)).to_vector<float>();
      EXPECT_EQ(some, std::vector<float>(all.begin() + begin * 24, all.begin() + end * 24)) << begin;
    }
  }
}

/// Counts the calls of the feed-forward that it is wrapped around.
class Counting final : public FeedForward {
 public:
  Counting(std::shared_ptr<FeedForward> module, std::vector<int64_t>& calls)
      : inner(*this, std::string(kWrapped), std::move(module)), calls_(calls) {}
  std::string_view kind() const override { return "Counting"; }
  Tensor forward(const Tensor& x) override {
    calls_.push_back(x.dim(0));
    return inner->forward(x);
  }
  Child<FeedForward> inner;

 private:
  std::vector<int64_t>& calls_;
};

TEST_F(SparseExpertsTest, OnlyChosenExpertsRunAndEachOnceForAllItsTokens) {
  const auto module = module_of(shape_of(32, 2, true, 0), 3);
  const std::vector<float> plain = module->forward(drawn({3, 24}, 4)).to_vector<float>();
  std::vector<int64_t> calls;
  for (Slot* slot : module->experts->children())
    slot->replace(std::make_shared<Counting>(std::dynamic_pointer_cast<FeedForward>(slot->module()), calls));
  EXPECT_EQ(module->forward(drawn({3, 24}, 4)).to_vector<float>(), plain);
  EXPECT_LE(calls.size(), 6u);
  EXPECT_EQ(std::accumulate(calls.begin(), calls.end(), int64_t{0}), 6);
  calls.clear();
  module->forward(drawn({500, 24}, 5));
  EXPECT_LE(calls.size(), 32u);
  EXPECT_EQ(std::accumulate(calls.begin(), calls.end(), int64_t{0}), 1000);
}

TEST_F(SparseExpertsTest, GradientsAgreeWithDifferences) {
  const auto module = module_of(shape_of(5, 2, true, 8), 6);
  const Tensor x = drawn({9, 24}, 7);
  const Tensor factor = drawn({9, 24}, 8);
  const auto value = [&] {
    const std::vector<float> y = module->forward(x).to_vector<float>();
    const std::vector<float> f = factor.to_vector<float>();
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += double{y[i]} * f[i];
    return sum;
  };
  std::vector<std::pair<std::string, Parameter*>> parameters;
  walk_parameters(*module, [&](const std::string& path, Parameter& parameter) {
    parameters.emplace_back(path, &parameter);
    parameter.require_gradient();
  });
  autograd::backward(module->forward(x), factor);
  int compared = 0;
  for (const auto& [path, parameter] : parameters) {
    if (!parameter->gradient().defined()) continue;  // of an expert that no token chose
    const std::vector<float> gradient = parameter->gradient().to_vector<float>();
    const Tensor before = parameter->tensor().detach().clone();
    for (const size_t at : {size_t{0}, gradient.size() / 2, gradient.size() - 1}) {
      constexpr float kStep = 1e-2f;  // small enough that no token chooses anew
      const auto moved = [&](float by) {
        std::vector<float> values = before.to_vector<float>();
        values[at] += by;
        parameter->set(Tensor::from(values, before.shape()));
        return value();
      };
      const double slope = (moved(kStep) - moved(-kStep)) / (2 * kStep);
      EXPECT_NEAR(gradient[at], slope, 2e-2 * std::max(1.0, std::fabs(slope))) << path << " " << at;
      ++compared;
    }
    parameter->set(before);
  }
  EXPECT_GT(compared, 30);
}

TEST_F(SparseExpertsTest, ADryRunCountsTheExpertsThatTokensWouldReadWhenAllAreChosenAlike) {
  const auto module = module_of(shape_of(8, 2, true, 0), 9);
  const Tensor x = drawn({2, 24}, 10);
  const ops::DryRun run;
  module->forward(x);
  int64_t products = 0;
  for (const ops::CostRow& row : run.rows())
    if (row.operation == "linear") products += row.calls;
  EXPECT_EQ(products, 1 + 4 * 3);  // the router; four experts of eight for two tokens
}

TEST_F(SparseExpertsTest, ADryRunGoesBackwardToo) {
  const auto module = module_of(shape_of(8, 2, true, 0), 11);
  walk_parameters(*module, [](const std::string&, Parameter& parameter) { parameter.require_gradient(); });
  const ops::DryRun run;
  const Tensor x = Tensor::zeros({3000, 24}, DType::kF32);
  autograd::backward(module->forward(x), Tensor::zeros({3000, 24}, DType::kF32));
  walk_parameters(*module, [](const std::string& path, Parameter& parameter) {
    EXPECT_TRUE(parameter.gradient().defined()) << path;
  });
}

TEST_F(SparseExpertsTest, UseIsThePartOfTokensThatGoThrough) {
  auto list = std::make_shared<ModuleList<FeedForward>>();
  list->push_back(std::make_shared<SparseExperts>(shape_of(8, 2, true, 4)));
  list->push_back(std::make_shared<GatedFeedForward>(24, 40, ops::Unary::kSilu, false));
  std::map<std::string, double> uses;
  walk_with_use(list, [&](const std::string& path, const ModulePtr&, double use) { uses[path] = use; });
  EXPECT_EQ(uses.at("0"), 1);
  EXPECT_EQ(uses.at("0.router"), 1);
  EXPECT_EQ(uses.at("0.experts.7.up_proj"), 0.25);
  EXPECT_EQ(uses.at("0.shared_expert.up_proj"), 1);
  EXPECT_EQ(uses.at("1.up_proj"), 1);
  EXPECT_DOUBLE_EQ(part_in_use(0.25, 1), 0.25);
  EXPECT_DOUBLE_EQ(part_in_use(0.25, 2), 0.4375);
  EXPECT_EQ(part_in_use(1, 5), 1);
}

}  // namespace
}  // namespace martlet::nn
