#include "infer/sampler.h"

#include <cmath>
#include <gtest/gtest.h>
#include <map>

#include "base/error.h"
#include "base/random.h"

namespace martlet::infer {
namespace {

std::map<int32_t, double> frequencies(const std::vector<float>& scores, SamplingOptions options, int draws) {
  std::map<int32_t, double> share;
  for (int i = 0; i < draws; ++i)
    share[sample(scores, options, {}, {}, static_cast<uint64_t>(i))] += 1.0 / draws;
  return share;
}

TEST(Sampler, TemperatureZeroTakesTheLowestIdAmongTheGreatest) {
  EXPECT_EQ(sample(std::vector<float>{1, 3, 3, 2}, {}, {}, {}, 0), 1);
}

TEST(Sampler, DrawsFollowTheSoftmax) {
  SamplingOptions options;
  options.temperature = 0.5;
  const std::vector<float> scores = {0.0f, 0.5f, 1.0f};
  const auto share = frequencies(scores, options, 40000);
  const double sum = 1 + std::exp(1.0) + std::exp(2.0);
  // Four standard errors of 40,000 draws are at most 0.01.
  for (int32_t id = 0; id < 3; ++id) EXPECT_NEAR(share.at(id), std::exp(static_cast<double>(id)) / sum, 0.01);
}

TEST(Sampler, FiltersKeepWhatTheirDefinitionsSay) {
  const std::vector<float> scores = {std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)};
  SamplingOptions options;
  options.temperature = 1;
  const auto kept = [&](const SamplingOptions& with) { return frequencies(scores, with, 3000).size(); };
  EXPECT_EQ(kept(options), 4u);
  SamplingOptions top_k = options;
  top_k.top_k = 2;
  EXPECT_EQ(kept(top_k), 2u);
  SamplingOptions top_p = options;
  top_p.top_p = 0.85;
  EXPECT_EQ(kept(top_p), 3u);
  SamplingOptions min_p = options;
  min_p.min_p = 0.35;
  EXPECT_EQ(kept(min_p), 2u);
}

TEST(Sampler, TypicalKeepsWhatIsNearestToTheEntropy) {
  // Surprises of 1/2, 1/4, 1/8, 1/8 are 1, 2, 3, 3 bits, the entropy 1.75: nearest first 1/4, 1/2, then 1/8.
  const std::vector<float> scores = {std::log(0.5f), std::log(0.25f), std::log(0.125f), std::log(0.125f)};
  SamplingOptions options;
  options.temperature = 1;
  const auto kept = [&](double typical_p) {
    options.typical_p = typical_p;
    std::vector<int32_t> ids;
    for (const auto& [id, share] : frequencies(scores, options, 3000)) ids.push_back(id);
    return ids;
  };
  EXPECT_EQ(kept(0.2), (std::vector<int32_t>{1}));
  EXPECT_EQ(kept(0.7), (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(kept(0.8), (std::vector<int32_t>{0, 1, 2})) << "the lower id among equals";
  EXPECT_EQ(kept(1), (std::vector<int32_t>{0, 1, 2, 3}));
}

TEST(Sampler, EachPenaltyIsItsFormula) {
  // Draws follow the softmax of the scores as the papers change them.
  const std::vector<float> scores = {1.0f, 0.5f, -0.5f, 0.0f};
  const std::vector<int32_t> prompt = {2}, generated = {0, 0, 1};
  struct Case {
    SamplingOptions options;
    std::vector<double> changed;
  };
  std::vector<Case> cases(4);
  cases[0].options.repetition_penalty = 2;  // seen in the prompt or the reply: 0, 1, 2
  cases[0].changed = {0.5, 0.25, -1.0, 0.0};
  cases[1].options.frequency_penalty = 0.4;  // once for each time in the reply
  cases[1].changed = {0.2, 0.1, -0.5, 0.0};
  cases[2].options.presence_penalty = 0.7;  // once for all
  cases[2].changed = {0.3, -0.2, -0.5, 0.0};
  cases[3].options = {.repetition_penalty = 2, .frequency_penalty = 0.1, .presence_penalty = -0.3};
  cases[3].changed = {0.5 - 0.2 + 0.3, 0.25 - 0.1 + 0.3, -1.0, 0.0};
  for (Case& test : cases) {
    test.options.temperature = 0.5;
    double sum = 0;
    for (const double score : test.changed) sum += std::exp(score / 0.5);
    std::map<int32_t, double> share;
    constexpr int kDraws = 40000;
    for (int i = 0; i < kDraws; ++i)
      share[sample(scores, test.options, prompt, generated, static_cast<uint64_t>(i))] += 1.0 / kDraws;
    for (int32_t id = 0; id < 4; ++id)  // four standard errors are at most 0.01
      EXPECT_NEAR(share[id], std::exp(test.changed[static_cast<size_t>(id)] / 0.5) / sum, 0.01) << id;
  }
}

TEST(Sampler, PenaltiesChangeSeenTokensOnly) {
  const std::vector<float> scores = {2.0f, 1.9f, -1.0f};
  SamplingOptions repetition;
  repetition.repetition_penalty = 1.2;
  const std::vector<int32_t> seen = {0};
  EXPECT_EQ(sample(scores, repetition, seen, {}, 0), 1);
  SamplingOptions presence;
  presence.presence_penalty = 0.2;
  EXPECT_EQ(sample(scores, presence, seen, {}, 0), 0) << "the prompt is no generated text";
  EXPECT_EQ(sample(scores, presence, {}, seen, 0), 1);
}

TEST(Sampler, ADrawDependsOnSeedSequenceAndStepAlone) {
  const std::vector<float> scores(50, 0.0f);
  SamplingOptions options;
  options.temperature = 1;
  options.seed = 9;
  const std::vector<int32_t> generated = {1, 2, 3};
  const int32_t first = sample(scores, options, {}, generated, 4);
  EXPECT_EQ(sample(scores, options, {}, generated, 4), first);
  int different = 0;
  for (uint64_t stream = 0; stream < 20; ++stream)
    different += sample(scores, options, {}, generated, stream) != first;
  EXPECT_GT(different, 10);
}

TEST(Sampler, ScoresOfSeveralPositionsGiveWhatEachGivesAlone) {
  constexpr int64_t kRows = 3, kWidth = 5000;
  const Philox random(7);
  std::vector<float> values(kRows * kWidth);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.below(i, 500));  // ties
  const Tensor scores = Tensor::from(values, {kRows, kWidth});
  const std::vector<int32_t> prompt = {4, 5}, generated = {6, 6, 7};
  SamplingOptions drawn, penalised;
  drawn.temperature = 0.8;
  penalised.frequency_penalty = 400;
  for (const SamplingOptions& options : {SamplingOptions{}, drawn, penalised}) {
    const Scores all(scores, options);
    for (int64_t row = 0; row < kRows; ++row)
      EXPECT_EQ(all.sample(row, prompt, generated, 2),
                sample(std::span(values).subspan(static_cast<size_t>(row * kWidth), kWidth), options, prompt,
                       generated, 2));
  }
}

TEST(Sampler, OptionsOutOfRangeAreNamed) {
  SamplingOptions options;
  options.top_p = 0;
  EXPECT_THROW(check(options), Error);
  options = {};
  options.temperature = -1;
  EXPECT_THROW(check(options), Error);
}

}  // namespace
}  // namespace martlet::infer
