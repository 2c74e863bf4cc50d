#include "ops/optimizer_steps.h"

#include <cmath>
#include <functional>
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/thread_pool.h"
#include "ops/cast.h"
#include "ops/cpu_features.h"

namespace martlet::ops {
namespace {

/// A parameter, its gradient and two moments, drawn from a seed.
struct State {
  Tensor parameter, gradient, first, second;

  State(uint64_t seed, int64_t count, Device device = Device::kCpu) {
    const auto draw = [&](uint64_t stream, bool positive) {
      std::vector<float> values(static_cast<size_t>(count));
      for (size_t i = 0; i < values.size(); ++i) {
        const double value = Philox(seed, stream).normal(i);
        values[i] = static_cast<float>(positive ? value * value : value);
      }
      return Tensor::from(values, {count}, device);
    };
    parameter = draw(0, false);
    gradient = draw(1, false);
    first = draw(2, false);
    second = draw(3, true);
  }
};

using Step = std::function<void(const State&)>;

const std::vector<std::pair<std::string, Step>>& steps() {
  static const std::vector<std::pair<std::string, Step>> kSteps{
      {"adamw",
       [](const State& s) {
         adamw_step({1e-2, 0.9, 0.95, 1e-8, 0.1, 0.37, 4}, s.parameter, s.gradient, s.first, s.second);
       }},
      {"adamw first step",
       [](const State& s) { adamw_step({}, s.parameter, s.gradient, s.first, s.second); }},
      {"sgd",
       [](const State& s) {
         sgd_step({.learning_rate = 0.1, .weight_decay = 0.2}, s.parameter, s.gradient, {});
       }},
      {"momentum",
       [](const State& s) {
         sgd_step({0.1, 0.9, false, 0.1, 0.5}, s.parameter, s.gradient, s.first);
       }},
      {"nesterov",
       [](const State& s) {
         sgd_step({0.1, 0.9, true, 0, 1}, s.parameter, s.gradient, s.first);
       }},
      {"lion",
       [](const State& s) {
         lion_step({1e-2, 0.9, 0.99, 0.3, 2}, s.parameter, s.gradient, s.first);
       }},
  };
  return kSteps;
}

std::vector<float> all_of(const State& state) {
  std::vector<float> all = state.parameter.to_vector<float>();
  for (const Tensor* tensor : {&state.first, &state.second})
    for (const float value : tensor->to_vector<float>()) all.push_back(value);
  return all;
}

TEST(OptimizerSteps, TheCpuAgreesWithTheDefinitionOnEveryInstructionSet) {
  const CpuFeatures best = cpu_features();
  CpuFeatures no_avx512 = best, none = best;
  no_avx512.avx512 = no_avx512.avx512_bf16 = false;
  none.avx512 = none.avx512_bf16 = none.avx2 = false;
  for (const auto& [name, step] : steps()) {
    for (const int64_t count : {0, 1, 15, 17, 5000}) {
      const State reference(3, count, Device::kReference);
      step(reference);
      const std::vector<float> expected = all_of(reference);
      for (const CpuFeatures& features : {best, no_avx512, none}) {
        limit_cpu_features(features);
        const State state(3, count);
        step(state);
        const std::vector<float> got = all_of(state);
        for (size_t i = 0; i < got.size(); ++i)
          ASSERT_NEAR(got[i], expected[i], 4e-6 * (1 + std::abs(expected[i])))
              << name << " " << count << " at " << i;
      }
      limit_cpu_features(best);
    }
  }
}

TEST(OptimizerSteps, TheBitsDoNotDependOnThreads) {
  for (const auto& [name, step] : steps()) {
    std::vector<float> first;
    for (const int threads : {1, 2, 3}) {
      set_thread_count(threads);
      const State state(9, 100'003);
      step(state);
      if (threads == 1) first = all_of(state);
      EXPECT_EQ(all_of(state), first) << name;
    }
    set_thread_count(0);
  }
}

TEST(OptimizerSteps, ABf16GradientCountsAsItsValue) {
  const State narrow(5, 300), wide(5, 300);
  const Tensor gradient = cast(narrow.gradient, DType::kBF16);
  const AdamW options{.weight_decay = 0.1, .step = 2};
  adamw_step(options, narrow.parameter, gradient, narrow.first, narrow.second);
  adamw_step(options, wide.parameter, cast(gradient, DType::kF32), wide.first, wide.second);
  EXPECT_EQ(all_of(narrow), all_of(wide));
}

TEST(OptimizerSteps, TheFirstStepOfAdamWMovesEveryElementByTheRate) {
  const State state(5, 100);
  const std::vector<float> before = state.parameter.to_vector<float>(), g = state.gradient.to_vector<float>();
  const Tensor zero = Tensor::zeros({100}, DType::kF32);
  adamw_step({.learning_rate = 0.01}, state.parameter, state.gradient, zero,
             Tensor::zeros({100}, DType::kF32));
  const std::vector<float> after = state.parameter.to_vector<float>();
  for (size_t i = 0; i < after.size(); ++i)
    EXPECT_NEAR(after[i], before[i] - (g[i] > 0 ? 0.01f : -0.01f), 1e-5) << i;
}

TEST(OptimizerSteps, WhatDoesNotFitIsRefused) {
  const State state(1, 8);
  const Tensor other = Tensor::zeros({7}, DType::kF32);
  EXPECT_THROW(adamw_step({}, state.parameter, other, state.first, state.second), Error);
  EXPECT_THROW(adamw_step({}, state.parameter, state.gradient, other, state.second), Error);
  EXPECT_THROW(adamw_step({.step = 0}, state.parameter, state.gradient, state.first, state.second), Error);
  EXPECT_THROW(sgd_step({.momentum = 0.9}, state.parameter, state.gradient, {}), Error);
  EXPECT_THROW(lion_step({}, cast(state.parameter, DType::kBF16), state.gradient, state.first), Error);
}

}  // namespace
}  // namespace martlet::ops
