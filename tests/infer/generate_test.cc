#include "infer/generate.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "base/thread_pool.h"
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
