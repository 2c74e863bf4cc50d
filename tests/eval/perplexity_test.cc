#include "eval/perplexity.h"

#include <cmath>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "compress/kv_cache.h"
#include "infer/generate.h"
#include "infer/kv_cache.h"
#include "nn/apply_rewrite.h"
#include "support/random_model.h"

namespace martlet::eval {
namespace {

std::vector<int32_t> random_ids(size_t count, uint64_t seed, int64_t vocabulary) {
  const Philox random(seed);
  std::vector<int32_t> ids(count);
  for (size_t i = 0; i < count; ++i)
    ids[i] = static_cast<int32_t>(random.below(i, static_cast<uint64_t>(vocabulary)));
  return ids;
}

/// Log-probabilities of one position in double.
std::vector<double> log_softmax(std::span<const float> scores) {
  double total = 0;
  for (const float score : scores) total += std::exp(double{score});
  std::vector<double> logs;
  for (const float score : scores) logs.push_back(double{score} - std::log(total));
  return logs;
}

struct Defined {
  std::vector<double> losses, other_losses, divergences;
  int64_t same = 0;
};

/// The definition, window by window and position by position.
Defined defined(nn::Model& first, nn::Model& other, const std::vector<int32_t>& ids,
                const PerplexityOptions& options) {
  Defined result;
  const auto vocabulary = static_cast<size_t>(first.shape().vocabulary_size);
  const auto context = static_cast<size_t>(options.context);
  for (size_t begin = 0; begin + context <= ids.size(); begin += context) {
    std::vector<int32_t> window(ids.begin() + static_cast<int64_t>(begin),
                                ids.begin() + static_cast<int64_t>(begin + context));
    if (options.begin) window[0] = *options.begin;
    const std::vector<float> p = infer::all_logits(first, window).to_vector<float>();
    const std::vector<float> q = infer::all_logits(other, window).to_vector<float>();
    for (size_t at = context / 2; at + 1 < context; ++at) {
      const auto logs = log_softmax(std::span(p).subspan(at * vocabulary, vocabulary));
      const auto other_logs = log_softmax(std::span(q).subspan(at * vocabulary, vocabulary));
      const auto target = static_cast<size_t>(ids[begin + at + 1]);
      result.losses.push_back(-logs[target]);
      result.other_losses.push_back(-other_logs[target]);
      double kl = 0;
      for (size_t i = 0; i < vocabulary; ++i) kl += std::exp(logs[i]) * (logs[i] - other_logs[i]);
      result.divergences.push_back(kl);
      const auto top = [](const std::vector<double>& row) {
        return std::max_element(row.begin(), row.end()) - row.begin();
      };
      result.same += top(logs) == top(other_logs);
    }
  }
  return result;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double standard_error(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += (value - mean(values)) * (value - mean(values));
  const auto count = static_cast<double>(values.size());
  return std::sqrt(sum / count / (count - 1));
}

class PerplexityTest : public ::testing::Test {
 protected:
  PerplexityTest() : first_(testing::random_llama(4)), other_(testing::random_llama(5)) {}
  ~PerplexityTest() override {
    set_thread_count(0);
    clear_interrupt();
  }
  std::vector<int32_t> ids(size_t count) const {
    return random_ids(count, 9, first_->shape().vocabulary_size);
  }

  std::shared_ptr<nn::Model> first_;
  std::shared_ptr<nn::Model> other_;
};

TEST_F(PerplexityTest, IsTheMeanOfItsDefinition) {
  for (const PerplexityOptions& options :
       {PerplexityOptions{.context = 16}, PerplexityOptions{.context = 8, .begin = 3}}) {
    const std::vector<int32_t> text = ids(61);
    const Defined wanted = defined(*first_, *other_, text, options);
    const Perplexity alone = perplexity(*first_, text, options);
    EXPECT_EQ(alone.tokens, static_cast<int64_t>(wanted.losses.size()));
    EXPECT_EQ(alone.windows, 61 / options.context);
    EXPECT_NEAR(alone.loss, mean(wanted.losses), 1e-5);
    EXPECT_NEAR(alone.loss_error, standard_error(wanted.losses), 1e-5);
    EXPECT_NEAR(alone.perplexity_error(), alone.perplexity() * alone.loss_error, 1e-9);
    const Comparison both = compare(*first_, *other_, text, options);
    EXPECT_EQ(both.first.loss, alone.loss);
    EXPECT_NEAR(both.other.loss, mean(wanted.other_losses), 1e-5);
    EXPECT_NEAR(both.divergence.kl, mean(wanted.divergences), 1e-5);
    EXPECT_NEAR(both.divergence.kl_error, standard_error(wanted.divergences), 1e-5);
    std::vector<double> more;
    for (size_t i = 0; i < wanted.losses.size(); ++i)
      more.push_back(wanted.other_losses[i] - wanted.losses[i]);
    EXPECT_NEAR(both.divergence.more_loss, mean(more), 1e-5);
    EXPECT_NEAR(both.divergence.more_loss_error, standard_error(more), 1e-5);
    EXPECT_NEAR(both.divergence.same_top,
                static_cast<double>(wanted.same) / static_cast<double>(wanted.losses.size()), 1e-12);
  }
}

TEST_F(PerplexityTest, AModelDoesNotDifferFromItself) {
  const Comparison both = compare(*first_, *first_, ids(64), {.context = 32});
  EXPECT_EQ(both.divergence.kl, 0);
  EXPECT_EQ(both.divergence.greatest_kl, 0);
  EXPECT_EQ(both.divergence.same_top, 1);
}

TEST_F(PerplexityTest, KeysAndValuesAreRoundedAsARunRoundsThem) {
  constexpr const nn::Rewrite* kOnly[] = {&compress::kKvCache};
  const auto model = martlet::testing::random_llama(7);
  nn::RewriteHistory history;
  nn::apply_rewrite(model, {"kv_cache", Json().set("format", "q4")}, kOnly, history);
  const std::vector<int32_t> ids = random_ids(48, 3, model->shape().vocabulary_size);
  const PerplexityOptions options{.context = 16};
  const Perplexity rounded = perplexity(*model, ids, options);
  double sum = 0;
  int64_t count = 0;
  for (size_t begin = 0; begin < ids.size(); begin += 16) {
    infer::GrowingKvCache cache(model->shape().layers);
    for (size_t at = 0; at + 1 < 16; ++at) {  // token by token
      nn::Batch batch;
      batch.add(std::span(ids).subspan(begin + at, 1), &cache);
      const std::vector<float> scores = model->logits(model->hidden(batch)).to_vector<float>();
      if (at < 8) continue;
      sum -= log_softmax(scores)[static_cast<size_t>(ids[begin + at + 1])];
      ++count;
    }
  }
  EXPECT_EQ(rounded.tokens, count);
  EXPECT_NEAR(rounded.loss, sum / static_cast<double>(count), 1e-6);
  EXPECT_GT(std::fabs(rounded.loss - perplexity(*martlet::testing::random_llama(7), ids, options).loss),
            1e-5);
}

TEST_F(PerplexityTest, ThreadsAndFormerWindowsChangeNothing) {
  const std::vector<int32_t> text = ids(96);
  set_thread_count(1);
  const Comparison one = compare(*first_, *other_, text, {.context = 16});
  set_thread_count(3);
  const Comparison three = compare(*first_, *other_, text, {.context = 16});
  EXPECT_EQ(one.first.loss, three.first.loss);
  EXPECT_EQ(one.divergence.kl, three.divergence.kl);
  const Perplexity some = perplexity(*first_, text, {.context = 16, .most_windows = 2});
  EXPECT_EQ(some.loss, perplexity(*first_, std::span(text).first(32), {.context = 16}).loss);
}

TEST_F(PerplexityTest, WhatCannotBeMeasuredIsSaid) {
  const auto message = [&](const std::vector<int32_t>& text, const PerplexityOptions& options) {
    try {
      perplexity(*first_, text, options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(message(ids(10), {.context = 16}).find("10 tokens"), std::string::npos);
  EXPECT_NE(message(ids(10), {.context = 5}).find("even"), std::string::npos);
  EXPECT_NE(message(ids(10), {.context = 1 << 20}).find("context is"), std::string::npos);
  EXPECT_NE(message({1, 2, 3, 1 << 20}, {.context = 4}).find("vocabulary"), std::string::npos);
  Json config = testing::small_llama_config();
  config.set("vocab_size", config.at("vocab_size").integer() + 1);
  const auto wider = testing::random_model(config, 1);
  EXPECT_THROW(compare(*first_, *wider, ids(16), {.context = 16}), Error);
  request_interrupt();
  EXPECT_THROW(perplexity(*first_, ids(16), {.context = 16}), Error);
}

}  // namespace
}  // namespace martlet::eval
