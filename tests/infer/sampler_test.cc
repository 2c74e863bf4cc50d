#include "infer/sampler.h"

#include <cmath>
#include <gtest/gtest.h>
#include <map>

#include "base/error.h"

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
