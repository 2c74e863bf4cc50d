#include "infer/generate.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "infer/counting_model.h"
#include "infer/kv_cache.h"
#include "models/open.h"
#include "support/random_model.h"

namespace martlet::infer {
namespace {

class Generate : public ::testing::Test {
 protected:
  Generate() : directory_(testing::small_llama_config(), 11), model_(models::open_model(directory_.path())) {}
  ~Generate() override { set_thread_count(0); }

  std::vector<std::vector<int32_t>> prompts(size_t count) const {
    const Philox random(5);
    std::vector<std::vector<int32_t>> result(count);
    uint64_t draw = 0;
    for (std::vector<int32_t>& prompt : result) {
      prompt.resize(1 + random.below(draw++, 12));
      for (int32_t& id : prompt) id = static_cast<int32_t>(random.below(draw++, 97));
    }
    return result;
  }

  std::vector<std::vector<int32_t>> ids_of(const std::vector<Generated>& results) const {
    std::vector<std::vector<int32_t>> ids;
    for (const Generated& result : results) ids.push_back(result.ids);
    return ids;
  }

  testing::ModelDirectory directory_;
  models::OpenModel model_;
};

TEST_F(Generate, AReplyDoesNotDependOnBatchOrThreads) {
  for (const double temperature : {0.0, 0.9}) {
    GenerationOptions options;
    options.max_new_tokens = 20;
    options.sampling.temperature = temperature;
    options.sampling.seed = 3;
    const auto asked = prompts(9);
    options.batch = 9;
    const auto together = ids_of(generate(*model_.tree, asked, options));
    options.batch = 2;
    set_thread_count(1);
    EXPECT_EQ(ids_of(generate(*model_.tree, asked, options)), together);
    options.batch = 1;
    set_thread_count(2);
    EXPECT_EQ(ids_of(generate(*model_.tree, asked, options)), together);
  }
}

TEST_F(Generate, DecodingWithACacheGivesTheBitsOfOneForward) {
  const std::vector<int32_t> ids = {4, 8, 15, 16, 23, 42, 1, 2, 3};
  const std::vector<float> whole = all_logits(*model_.tree, ids).to_vector<float>();
  GrowingKvCache cache(model_.tree->shape().layers);
  std::vector<float> stepwise;
  for (const int32_t id : ids) {
    nn::Batch batch;
    batch.add(std::span(&id, 1), &cache);
    const std::vector<float> row = model_.tree->logits(model_.tree->hidden(batch)).to_vector<float>();
    stepwise.insert(stepwise.end(), row.begin(), row.end());
  }
  EXPECT_EQ(stepwise, whole);
}

TEST_F(Generate, ATruncatedCacheContinuesAsIfTheRestHadNeverBeen) {
  const std::vector<int32_t> ids = {4, 8, 15, 16};
  GrowingKvCache cache(model_.tree->shape().layers);
  nn::Batch first;
  first.add(ids, &cache);
  model_.tree->hidden(first);
  cache.truncate(2);
  EXPECT_EQ(cache.length(), 2);
  nn::Batch again;
  again.add(std::span(ids).subspan(2), &cache);
  const std::vector<float> rows = model_.tree->logits(model_.tree->hidden(again)).to_vector<float>();
  const std::vector<float> whole = all_logits(*model_.tree, ids).to_vector<float>();
  EXPECT_EQ(rows, std::vector<float>(whole.begin() + 2 * 97, whole.end()));
}

TEST_F(Generate, StopsBeforeAStopTokenAndWhenTheListenerSaysSo) {
  GenerationOptions options;
  options.max_new_tokens = 8;
  const auto asked = prompts(1);
  const Generated free = generate(*model_.tree, asked, options).front();
  ASSERT_EQ(free.ids.size(), 8u);
  EXPECT_EQ(free.finish, Finish::kLength);
  options.stop_ids = {free.ids[0]};
  const Generated stopped = generate(*model_.tree, asked, options).front();
  EXPECT_TRUE(stopped.ids.empty());
  EXPECT_EQ(stopped.finish, Finish::kStop);
  options.stop_ids.clear();
  const Generated cut = generate(*model_.tree, asked, options, [](size_t, int32_t) { return false; }).front();
  EXPECT_EQ(cut.ids.size(), 1u);
  EXPECT_EQ(cut.finish, Finish::kStopped);
}

TEST_F(Generate, ChanceDependsOnAPromptsNumberAmongAll) {
  GenerationOptions options;
  options.max_new_tokens = 12;
  options.sampling.temperature = 1.2;
  const auto asked = prompts(5);
  const auto together = ids_of(generate(*model_.tree, asked, options));
  for (size_t i = 0; i < asked.size(); ++i) {
    options.first_sequence = i;
    EXPECT_EQ(generate(*model_.tree, std::span(asked).subspan(i, 1), options)[0].ids, together[i]);
  }
}

TEST_F(Generate, AReplyIsTheSameWhateverTheContextHolds) {
  GenerationOptions options;
  options.max_new_tokens = 10;
  options.sampling.temperature = 0.8;
  ReadContext context(model_.tree->shape().layers);
  // A conversation that grows, is cut back, and begins anew.
  std::vector<int32_t> talk;
  int64_t held_before = 0;
  for (const std::vector<int32_t>& said : prompts(4)) {
    talk.insert(talk.end(), said.begin(), said.end());
    const Generated expected = generate(*model_.tree, std::span(&talk, 1), options)[0];
    const int64_t held = reusable_ids(*model_.tree, context, talk);
    EXPECT_EQ(generate_on(*model_.tree, context, talk, options).ids, expected.ids);
    EXPECT_EQ(generate_on(*model_.tree, context, talk, options).ids, expected.ids) << "once more";
    EXPECT_EQ(held, held_before);
    held_before = static_cast<int64_t>(talk.size() + expected.ids.size()) - 1;
    talk.insert(talk.end(), expected.ids.begin(), expected.ids.end() - 1);
    if (talk.size() > 40) {
      talk.resize(7);
      held_before = 7;
    }
  }
  const std::vector<int32_t> other = {96, 1, 2};
  const Generated fresh = generate(*model_.tree, std::span(&other, 1), options)[0];
  EXPECT_EQ(generate_on(*model_.tree, context, other, options).ids, fresh.ids);
  EXPECT_EQ(static_cast<int64_t>(context.ids.size()), context.cache.length());
}

TEST_F(Generate, WhatPromptsBeginWithInCommonIsReadOnce) {
  const Philox random(21);
  uint64_t draw = 0;
  const auto words = [&](size_t count) {
    std::vector<int32_t> ids(count);
    for (int32_t& id : ids) id = static_cast<int32_t>(random.below(draw++, 97));
    return ids;
  };
  const std::vector<int32_t> system = words(30);
  std::vector<std::vector<int32_t>> asked(6, system);
  for (size_t i = 0; i < asked.size(); ++i) {
    if (i % 2 == 1) asked[i] = asked[i - 1];  // goes on where the one before ends
    const std::vector<int32_t> own = words(i == 3 ? 0 : 4);
    asked[i].insert(asked[i].end(), own.begin(), own.end());
  }
  asked.push_back(words(12));
  GenerationOptions options;
  options.max_new_tokens = 10;
  std::vector<std::vector<int32_t>> alone;
  for (const std::vector<int32_t>& prompt : asked)
    alone.push_back(generate(*model_.tree, std::span(&prompt, 1), options)[0].ids);
  EXPECT_EQ(ids_of(generate(*model_.tree, asked, options)), alone);

  // Read are the first prompt, what is new in the others, and every new token but the last.
  CountingModel counting(*model_.tree);
  generate(counting, asked, options);
  EXPECT_EQ(counting.tokens, 34 + 4 + 4 + 1 + 4 + 4 + 12 + 7 * 9);
}

TEST(ForgottenIds, AreTheFewestHalvesThatMakeTheRestFit) {
  EXPECT_EQ(forgotten_ids(64, 64), 0);
  EXPECT_EQ(forgotten_ids(65, 64), 32);
  EXPECT_EQ(forgotten_ids(96, 64), 32);
  EXPECT_EQ(forgotten_ids(97, 64), 64);
  EXPECT_EQ(forgotten_ids(1000, 0), 0) << "no limit";
  for (int64_t limit = 1; limit < 20; ++limit)
    for (int64_t length = 0; length < 100; ++length) {
      const int64_t left = length - forgotten_ids(length, limit);
      EXPECT_LE(left, limit);
      EXPECT_GE(left, std::min(length, limit - limit / 2));
    }
}

TEST_F(Generate, ASlidingContextChoosesFromTheFirstIdAndTheNewestThatFit) {
  GenerationOptions options;
  options.max_new_tokens = 80;
  options.context = ContextPolicy::kSlide;
  for (const size_t size : {size_t{3}, size_t{64}, size_t{65}, size_t{150}}) {
    std::vector<int32_t> ids(size);
    for (size_t i = 0; i < size; ++i) ids[i] = static_cast<int32_t>(i * 37 % 97);
    const Generated got = generate(*model_.tree, std::span(&ids, 1), options)[0];
    ASSERT_EQ(got.ids.size(), 80u);
    EXPECT_EQ(got.finish, Finish::kLength);
    // The definition: each token from one forward over what is not forgotten.
    for (const int32_t id : got.ids) {
      const int64_t forgotten = forgotten_ids(static_cast<int64_t>(ids.size()), 64);
      std::vector<int32_t> seen = {ids.front()};
      seen.insert(seen.end(), ids.begin() + 1 + forgotten, ids.end());
      const std::vector<float> rows = all_logits(*model_.tree, seen).to_vector<float>();
      ASSERT_EQ(id, std::max_element(rows.end() - 97, rows.end()) - (rows.end() - 97)) << ids.size();
      ids.push_back(id);
    }
  }
}

TEST_F(Generate, WhatASlidingContextForgotIsNotTakenByOthers) {
  GenerationOptions options;
  options.max_new_tokens = 5;
  options.context = ContextPolicy::kSlide;
  // The first one's first token fills the context, before the second has taken what they share.
  std::vector<std::vector<int32_t>> asked(2, std::vector<int32_t>(64));
  for (size_t i = 0; i < 64; ++i) asked[0][i] = asked[1][i] = static_cast<int32_t>(i * 37 % 97);
  asked[1].resize(61);
  asked[1].back() = 5;
  std::vector<std::vector<int32_t>> alone;
  for (const std::vector<int32_t>& prompt : asked)
    alone.push_back(generate(*model_.tree, std::span(&prompt, 1), options)[0].ids);
  EXPECT_EQ(ids_of(generate(*model_.tree, asked, options)), alone);
}

TEST_F(Generate, WithoutAPolicyAReplyEndsWhereTheContextIsFull) {
  GenerationOptions options;
  options.max_new_tokens = 80;
  const std::vector<int32_t> prompt(60, 3);
  const Generated got = generate(*model_.tree, std::span(&prompt, 1), options)[0];
  EXPECT_EQ(got.ids.size(), 5u) << "four that the context holds, and the one they give";
  EXPECT_EQ(got.finish, Finish::kLength);
}

TEST(LongPrompts, PiecesGiveTheBitsOfOneForwardWhereFrequenciesDependOnTheLength) {
  Json config = testing::small_llama_config();
  config.set("max_position_embeddings", 2048);
  config.set("rope_scaling", Json::parse(R"({"rope_type": "longrope", "original_max_position_embeddings": 600,
    "short_factor": [1.0, 1.1, 1.3, 1.7], "long_factor": [1.0, 2.2, 4.0, 6.5]})",
                                         "rope"));
  const testing::ModelDirectory directory(config, 3);
  const models::OpenModel model = models::open_model(directory.path());
  std::vector<int32_t> prompt(700);
  for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<int32_t>(i * 31 % 97);
  const std::vector<float> whole = all_logits(*model.tree, prompt).to_vector<float>();
  GrowingKvCache cache(model.tree->shape().layers);
  std::vector<float> pieces;
  for (size_t begin = 0; begin < 700; begin += 350) {
    nn::Batch batch;
    batch.add(std::span(prompt).subspan(begin, 350), &cache, 700);
    const std::vector<float> rows = model.tree->logits(model.tree->hidden(batch)).to_vector<float>();
    pieces.insert(pieces.end(), rows.begin(), rows.end());
  }
  EXPECT_EQ(pieces, whole);
  GenerationOptions options;
  options.max_new_tokens = 1;
  const Generated got = generate(*model.tree, std::span(&prompt, 1), options)[0];
  EXPECT_EQ(got.ids[0], std::max_element(whole.end() - 97, whole.end()) - (whole.end() - 97));
}

TEST_F(Generate, RefusesPromptsThatCannotRun) {
  const auto refused = [&](const std::vector<int32_t>& prompt) {
    EXPECT_THROW(generate(*model_.tree, std::span(&prompt, 1), {}), Error);
  };
  refused({});
  refused({97});
  refused({-1});
  refused(std::vector<int32_t>(65, 1));
}

}  // namespace
}  // namespace martlet::infer
