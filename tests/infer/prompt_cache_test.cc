#include "infer/prompt_cache.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

#include "base/random.h"
#include "infer/counting_model.h"
#include "infer/generate.h"
#include "models/open.h"
#include "support/random_model.h"

namespace martlet::infer {
namespace {

namespace fs = std::filesystem;

class PromptCacheTest : public ::testing::Test {
 protected:
  PromptCacheTest()
      : directory_(testing::small_llama_config(), 11), model_(models::open_model(directory_.path())) {}

  static std::vector<int32_t> words(size_t count, uint64_t seed) {
    const Philox random(seed);
    std::vector<int32_t> ids(count);
    for (size_t i = 0; i < count; ++i) ids[i] = static_cast<int32_t>(random.below(i, 97));
    return ids;
  }

  /// The reply, which must be that without a cache; gives how many tokens were read.
  int64_t tokens_read(const std::vector<int32_t>& prompt, const PromptCache& cache) const {
    GenerationOptions options;
    options.max_new_tokens = 5;
    const std::vector<int32_t> wanted = generate(*model_.tree, std::span(&prompt, 1), options)[0].ids;
    options.prompt_cache = &cache;
    CountingModel counting(*model_.tree);
    EXPECT_EQ(generate(counting, std::span(&prompt, 1), options)[0].ids, wanted);
    return counting.tokens - 4;
  }

  std::string folder() const { return directory_.path() + "/prompts"; }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& file : fs::recursive_directory_iterator(folder()))
      if (file.is_regular_file()) found.push_back(file.path());
    return found;
  }

  testing::ModelDirectory directory_;
  models::OpenModel model_;
};

TEST_F(PromptCacheTest, APromptIsReadOnceAcrossCalls) {
  const PromptCache cache(folder(), "this model", 1 << 24);
  std::vector<int32_t> prompt = words(50, 1);
  EXPECT_EQ(tokens_read(prompt, cache), 50);
  EXPECT_EQ(tokens_read(prompt, cache), 1) << "the last is read in any case";
  std::vector<int32_t> longer = prompt;
  longer.push_back(7);
  EXPECT_EQ(tokens_read(longer, PromptCache(folder(), "this model", 1 << 24)), 1) << "by another process";
  prompt.resize(20);
  EXPECT_EQ(tokens_read(prompt, cache), 1) << "a part of it";
  prompt.insert(prompt.end(), {1, 2, 3});
  EXPECT_EQ(tokens_read(prompt, cache), 3);
  EXPECT_EQ(files().size(), 1u) << "a few tokens are not worth a file";
}

TEST_F(PromptCacheTest, WhatOthersOfABatchReadIsTakenWhereLessWasKept) {
  const PromptCache cache(folder(), "this model", 1 << 24);
  std::vector<int32_t> kept = words(50, 1);
  tokens_read(kept, cache);
  // Two prompts that begin with 10 of these and go on alike, and one that goes on as they were kept.
  std::vector<std::vector<int32_t>> asked(3, std::vector<int32_t>(kept.begin(), kept.begin() + 10));
  const std::vector<int32_t> alike = words(30, 2);
  for (size_t i = 0; i < 2; ++i) {
    asked[i].insert(asked[i].end(), alike.begin(), alike.end());
    asked[i].push_back(static_cast<int32_t>(i));
  }
  asked[2] = kept;
  GenerationOptions options;
  options.max_new_tokens = 5;
  std::vector<std::vector<int32_t>> alone;
  for (const std::vector<int32_t>& prompt : asked)
    alone.push_back(generate(*model_.tree, std::span(&prompt, 1), options)[0].ids);
  options.prompt_cache = &cache;
  CountingModel counting(*model_.tree);
  const std::vector<Generated> replies = generate(counting, asked, options);
  for (size_t i = 0; i < asked.size(); ++i) EXPECT_EQ(replies[i].ids, alone[i]) << i;
  EXPECT_EQ(counting.tokens, 31 + 1 + 1 + 3 * 4);
}

TEST_F(PromptCacheTest, ALongPromptThatWasKeptLeavesAShortOneItsMemory) {
  const PromptCache cache(folder(), "this model", 1 << 24);
  const std::vector<int32_t> kept = words(500, 1);
  GrowingKvCache read(1), loaded(1);
  const Tensor keys = Tensor::zeros({500, 1, 8}, DType::kF32);
  read.append(0, ops::CacheFormat::kF16, keys, keys);
  cache.keep(kept, read);
  EXPECT_EQ(cache.load(std::span(kept).first(20), loaded), 19);
  EXPECT_EQ(loaded.byte_count(), read.byte_count() / 8) << "one tile of eight";
}

TEST_F(PromptCacheTest, AnotherReadersPromptsAreNotSeen) {
  const std::vector<int32_t> prompt = words(50, 1);
  EXPECT_EQ(tokens_read(prompt, PromptCache(folder(), "one model", 1 << 24)), 50);
  EXPECT_EQ(tokens_read(prompt, PromptCache(folder(), "another", 1 << 24)), 50);
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(PromptCacheTest, AFileThatIsNotWhatWasWrittenIsReplaced) {
  const PromptCache cache(folder(), "this model", 1 << 24);
  const std::vector<int32_t> prompt = words(50, 1);
  EXPECT_EQ(tokens_read(prompt, cache), 50);
  const fs::path file = files().at(0);
  const auto size = static_cast<int64_t>(fs::file_size(file));
  const Philox random(3);
  for (uint64_t damage = 0; damage < 40; ++damage) {
    SCOPED_TRACE(damage);
    const auto place = static_cast<int64_t>(random.below(damage, static_cast<uint64_t>(size)));
    if (damage % 4 == 0) {
      fs::resize_file(file, static_cast<uintmax_t>(place));
    } else {
      std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
      bytes.seekg(place);
      const int byte = bytes.get();
      bytes.seekp(place);
      bytes.put(static_cast<char>(byte ^ 0x10));
    }
    // Damage to names of the header that nobody reads may go unseen; the reply is right in any case.
    tokens_read(prompt, cache);
    fs::remove(file);
    EXPECT_EQ(tokens_read(prompt, cache), 50);
    EXPECT_EQ(tokens_read(prompt, cache), 1);
  }
}

TEST_F(PromptCacheTest, TheLongestUnusedGoWhereAllWouldTakeTooMuch) {
  const std::vector<int32_t> first = words(40, 1), second = words(40, 2), third = words(40, 3);
  EXPECT_EQ(tokens_read(first, PromptCache(folder(), "this model", 1 << 24)), 40);
  const auto size = static_cast<int64_t>(fs::file_size(files().at(0)));
  const PromptCache cache(folder(), "this model", 2 * size + size / 2);
  EXPECT_EQ(tokens_read(second, cache), 40);
  // The first was used last.
  const auto now = fs::file_time_type::clock::now();
  for (const fs::path& file : files()) fs::last_write_time(file, now - std::chrono::hours(1));
  EXPECT_EQ(tokens_read(first, cache), 1);
  EXPECT_EQ(tokens_read(third, cache), 40);
  EXPECT_EQ(files().size(), 2u);
  EXPECT_EQ(tokens_read(first, cache), 1);
  EXPECT_EQ(tokens_read(third, cache), 1);
  EXPECT_EQ(tokens_read(second, cache), 40);
  EXPECT_EQ(tokens_read(words(40, 4), PromptCache(folder(), "this model", size / 2)), 40) << "too large";
}

TEST_F(PromptCacheTest, AFolderThatCannotBeWrittenCostsNothingButTime) {
  std::ofstream(directory_.path() + "/file") << "no folder";
  const PromptCache cache(directory_.path() + "/file", "this model", 1 << 24);
  EXPECT_EQ(tokens_read(words(50, 1), cache), 50);
  EXPECT_EQ(tokens_read(words(50, 1), cache), 50);
}

}  // namespace
}  // namespace martlet::infer
