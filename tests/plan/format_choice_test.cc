#include "plan/format_choice.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "compress/kv_cache.h"
#include "models/open.h"
#include "nn/apply_rewrite.h"
#include "nn/layers.h"
#include "nn/tree.h"
#include "plan/catalogue.h"
#include "plan/quality_loss.h"
#include "support/random_model.h"

namespace martlet::plan {
namespace {

constexpr double kAnyLoss = 100;

/// A model of unpacked weights that lie in a file, and a request whose keys and values take about as much.
class FormatChoiceTest : public ::testing::Test {
 protected:
  static Json config() {
    Json config = martlet::testing::small_llama_config();
    config.set("hidden_size", 256).set("intermediate_size", 1024).set("num_hidden_layers", 8);
    return config.set("head_dim", 64);
  }
  FormatChoiceTest() : directory_(config(), 5), model_(models::open_model(directory_.path())) {
    release_cached_memory();  // what made the model counts as the program
  }

  FormatChoice choose(uint64_t memory, const FormatFreedom& freedom) const {
    RunGoal goal = goal_;
    goal.memory = memory;
    return choose_formats(model_.tree, goal, freedom);
  }
  /// With room for all of it as it is.
  uint64_t enough() const {
    const MemoryNeeds needs = memory_needs(model_.tree, goal_);
    return static_cast<uint64_t>(needs.others() + needs.block_bytes()) + (64 << 20);
  }

  martlet::testing::ModelDirectory directory_;
  models::OpenModel model_;
  RunGoal goal_{2048, 2048, 8};
};

TEST_F(FormatChoiceTest, NothingChangesWhereAllOfItFits) {
  const FormatChoice choice = choose(enough(), {kAnyLoss, true, true});
  EXPECT_EQ(choice.chosen, 0u);
  EXPECT_FALSE(choice.best().formats.change());
  EXPECT_FALSE(choice.best().plan.streams());
}

TEST_F(FormatChoiceTest, WhatIsChosenIsTheBestThatIsAllowed) {
  const Philox random(1);
  for (uint64_t draw = 0; draw < 200; ++draw) {
    const uint64_t memory = (40 << 20) + random.below(4 * draw, enough());
    const FormatFreedom freedom{random.below(4 * draw + 1, 4) == 0 ? kAnyLoss : 0.03 * random.uniform(draw),
                                random.below(4 * draw + 2, 4) > 0, random.below(4 * draw + 3, 2) > 0};
    const FormatChoice choice = choose(memory, freedom);
    const WeighedFormats& best = choice.best();
    EXPECT_TRUE(freedom.cache || freedom.weights || choice.weighed.size() == 1);
    double before = 0;
    bool any_fits = false;
    for (const WeighedFormats& each : choice.weighed) {
      EXPECT_GE(each.formats.loss, before) << "by growing loss";
      before = each.formats.loss;
      if (each.formats.loss > freedom.most_loss || !each.plan.fits()) continue;
      any_fits = true;
      // Another plan reads less from disk only where it loses more, and saves too little for that.
      const int64_t streamed = each.plan.residency.streamed_bytes;
      const int64_t taken = best.plan.residency.streamed_bytes;
      EXPECT_TRUE(each.formats.loss >= best.formats.loss || taken < streamed) << memory;
      EXPECT_TRUE(each.formats.loss <= best.formats.loss || 5 * streamed >= 4 * taken) << memory;
    }
    EXPECT_EQ(choice.fits(), any_fits);
    EXPECT_TRUE(!any_fits || best.formats.loss <= freedom.most_loss);
    EXPECT_TRUE(any_fits || static_cast<uint64_t>(choice.least()) > memory);
  }
}

TEST_F(FormatChoiceTest, KeysAndValuesGoDownStepByStep) {
  // Weights that lie in memory cannot be streamed: what is left is the cache.
  const auto tree = martlet::testing::random_model(config(), 5);
  std::vector<std::string> seen;
  for (uint64_t memory = enough(); memory > (30 << 20); memory -= 1 << 20) {
    RunGoal goal = goal_;
    goal.memory = memory;
    const FormatChoice choice = choose_formats(tree, goal, {kAnyLoss, true, false});
    if (!choice.fits()) break;
    const auto& cache = choice.best().formats.cache;
    const std::string name = cache ? std::string(ops::name_of(*cache)) : "own";
    if (seen.empty() || seen.back() != name) seen.push_back(name);
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"own", "f16", "q8", "q4"}));
}

TEST_F(FormatChoiceTest, WithoutFreedomWeightsStreamAndKeepTheirBits) {
  const MemoryPlan whole = choose(enough(), {}).best().plan;
  const uint64_t memory =
      static_cast<uint64_t>(whole.needs.others() + whole.spare + whole.needs.block_bytes() / 2);
  const FormatChoice exact = choose(memory, {});
  EXPECT_TRUE(exact.best().plan.streams());
  EXPECT_FALSE(exact.best().formats.change());
  const FormatChoice packed = choose(memory, {kAnyLoss, false, true});
  EXPECT_EQ(packed.best().formats.weights, "q8_0") << "the least loss that is held";
  EXPECT_FALSE(packed.best().plan.streams());
}

TEST_F(FormatChoiceTest, WhatTheProcessHoldsHasNoSay) {
  const auto all = [&] {
    std::vector<FormatChoice> choices;
    for (uint64_t memory = 120 << 20; memory < enough() + (100 << 20); memory += 2 << 20)
      choices.push_back(choose(memory, {kAnyLoss, true, true}));
    return choices;
  };
  const std::vector<FormatChoice> before = all();
  const std::vector<char> more(20 << 20, 'x');
  const std::vector<FormatChoice> after = all();
  EXPECT_EQ(more.back(), 'x');
  size_t compared = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    // Where it does not even fit, the numbers are those of the process, and tell of it.
    const auto program = [i](const std::vector<FormatChoice>& of) {
      return of[i].weighed.front().plan.needs.program;
    };
    if (program(before) != program(after)) continue;
    EXPECT_EQ(before[i].best().formats.to_string(), after[i].best().formats.to_string()) << i;
    ++compared;
  }
  EXPECT_GT(compared, before.size() / 3);
}

TEST_F(FormatChoiceTest, PackedWeightsAreNotPackedAgain) {
  nn::apply_rewrite(model_.tree, {"quantize", Json().set("to", "q8_0")}, rewrites(), model_.rewrites);
  for (const WeighedFormats& each : choose(60 << 20, {kAnyLoss, true, true}).weighed)
    EXPECT_TRUE(each.formats.weights.empty()) << each.formats.to_string();
}

TEST_F(FormatChoiceTest, TheNeedsOfPackedBlocksAreWhatPackingMakesThem) {
  const FormatChoice choice = choose(60 << 20, {kAnyLoss, true, true});
  for (const WeighedFormats& each : choice.weighed) {
    models::OpenModel model = models::open_model(directory_.path());
    for (const nn::RewriteRequest& request : requests_of(each.formats))
      nn::apply_rewrite(model.tree, request, rewrites(), model.rewrites);
    EXPECT_EQ(nn::measure(*model.tree).bytes, each.plan.needs.outside + each.plan.needs.block_bytes())
        << each.formats.to_string();
    EXPECT_EQ(goal_.batch * cache_tiles(goal_, model.tree->shape()) * nn::cache_tile_bytes(model.tree),
              each.plan.needs.cache)
        << each.formats.to_string();
  }
}

TEST_F(FormatChoiceTest, ARefusalNamesTheLossThatWouldDo) {
  RunGoal goal = goal_;
  goal.memory = static_cast<uint64_t>(choose(1 << 20, {}).least()) - (8 << 20);
  const FormatChoice choice = choose_formats(model_.tree, goal, {0, true, true});
  ASSERT_FALSE(choice.fits());
  const std::string text = why_not(choice, goal);
  EXPECT_NE(text.find("the smallest that would do is"), std::string::npos) << text;
  EXPECT_NE(text.find("--loss"), std::string::npos) << text;
}

TEST(QualityLoss, GrowsAsFormatsShrink) {
  double before = -1;
  for (const ops::CacheFormat format : ops::kAllCacheFormats) {
    EXPECT_GT(cache_loss(format), before);
    before = cache_loss(format);
  }
  before = 0;
  for (const std::string_view choice : packed_choices()) {
    EXPECT_GT(packing_loss(choice), before) << choice;
    before = packing_loss(choice);
  }
}

}  // namespace
}  // namespace martlet::plan
