#include "models/weight_cache.h"

#include <filesystem>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "base/temporary_folder.h"

namespace martlet::models {
namespace {

namespace fs = std::filesystem;
using Check = WeightCache::Check;

class WeightCacheTest : public ::testing::Test {
 protected:
  /// Weights of drawn bytes; `made` counts how often one is made, `used` holds what the tree would.
  std::vector<nn::MadeWeight> weights(uint64_t seed) {
    std::vector<nn::MadeWeight> all;
    for (int i = 0; i < 3; ++i) {
      const std::string path = "layers." + std::to_string(i) + ".weight";
      all.push_back({path, 1000 + 64 * i,
                     [this, seed, i](const Tensor& bytes, int64_t begin) {
                       made += begin == 0;
                       const Philox random(seed, static_cast<uint64_t>(i));
                       for (int64_t at = 0; at < bytes.element_count(); ++at)
                         bytes.mutable_data<uint8_t>()[at] =
                             static_cast<uint8_t>(random.bits(static_cast<uint64_t>(begin + at)));
                     },
                     [this, path](const Tensor& bytes) { used[path] = bytes.to_vector<uint8_t>(); }});
    }
    return all;
  }

  WeightCache cache(const std::string& made_of = "this model", int64_t most_bytes = 1 << 20,
                    const std::string& name = "model") const {
    return WeightCache(folder_ / "weights", name, made_of, most_bytes);
  }

  void expect_kept(const WeightCache& cache) {
    for (const Check check : {Check::kNow, Check::kLater}) {
      const std::optional<KeptWeights> kept = cache.load(check);
      ASSERT_TRUE(kept.has_value());
      ASSERT_EQ(kept->size(), used.size());
      for (const auto& [path, bytes] : used) EXPECT_EQ(kept->at(path).bytes.to_vector<uint8_t>(), bytes);
    }
  }

  void expect_gone(const WeightCache& cache, const std::string& why) {
    EXPECT_FALSE(cache.load(Check::kNow).has_value()) << why;
    EXPECT_FALSE(file_exists(cache.path())) << why;
  }

  std::string damaged(const std::string& content, const std::string& path) const {
    fs::remove(path);
    write_file(path, content);
    return path;
  }

  TemporaryFolder folder_;
  int made = 0;
  std::map<std::string, std::vector<uint8_t>> used;
};

TEST_F(WeightCacheTest, WhatIsMadeOnceIsThereAtTheNextStart) {
  for (const Check check : {Check::kNow, Check::kLater}) {
    const WeightCache cache = this->cache(check == Check::kNow ? "now" : "later");
    made = 0;
    EXPECT_FALSE(cache.load(check).has_value());
    const std::optional<KeptWeights> kept = cache.make(weights(1), check);
    EXPECT_TRUE(kept.has_value());
    EXPECT_EQ(made, 3);
    expect_kept(cache);
  }
}

TEST_F(WeightCacheTest, WhatIsMadeOfSomethingElseIsNotUsedAndGivesWay) {
  cache("one").make(weights(1), Check::kNow);
  EXPECT_FALSE(cache("two").load(Check::kNow).has_value());
  EXPECT_TRUE(cache("one").load(Check::kNow).has_value()) << "and may be used still";
  cache("two").make(weights(2), Check::kNow);
  expect_kept(cache("two"));
  EXPECT_FALSE(cache("one").load(Check::kNow).has_value());
}

TEST_F(WeightCacheTest, AFlippedBitAnywhereIsSeen) {
  const WeightCache cache = this->cache();
  cache.make(weights(3), Check::kNow);
  const std::string good = read_file(cache.path());
  const Philox random(4);
  for (uint64_t draw = 0; draw < 400; ++draw) {
    std::string bad = good;
    const uint64_t bit = random.below(draw, good.size() * 8);
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    damaged(bad, cache.path());
    const std::optional<KeptWeights> kept = cache.load(Check::kNow);
    if (!kept) continue;
    // Only where the bit said nothing of the weights, such as one of padding.
    for (const auto& [path, bytes] : used)
      ASSERT_EQ(kept->at(path).bytes.to_vector<uint8_t>(), bytes) << "bit " << bit;
  }
  damaged(good, cache.path());
  expect_kept(cache);
}

TEST_F(WeightCacheTest, ATruncatedFileIsRemoved) {
  const WeightCache cache = this->cache();
  cache.make(weights(5), Check::kNow);
  const std::string good = read_file(cache.path());
  for (const size_t left : {size_t{0}, size_t{5}, good.size() / 2, good.size() - 1}) {
    damaged(good.substr(0, left), cache.path());
    expect_gone(cache, std::to_string(left));
  }
}

TEST_F(WeightCacheTest, WeightsOfAFileCarryTheirChecksums) {
  const WeightCache cache = this->cache();
  const std::optional<KeptWeights> kept = cache.make(weights(6), Check::kLater);
  ASSERT_TRUE(kept.has_value());
  for (const auto& [path, weight] : *kept)
    EXPECT_EQ(weight.checksum, cache.load(Check::kNow)->at(path).checksum);
}

TEST_F(WeightCacheTest, GoesOnWithoutADiskThatTakesIt) {
  write_file(folder_ / "weights", "a file where the folder would be");
  for (const Check check : {Check::kNow, Check::kLater}) {
    used.clear();
    EXPECT_FALSE(cache().make(weights(7), check).has_value());
    EXPECT_EQ(used.size(), 3u);
  }
  EXPECT_EQ(read_file(folder_ / "weights"), "a file where the folder would be");
}

TEST_F(WeightCacheTest, ALargeWeightIsMadeInPartsAndNeverHeldWhole) {
  constexpr int64_t kUnit = 96 * 1024, kBytes = 300 * kUnit;
  std::vector<nn::MadeWeight> large = weights(10);
  int64_t next = 0;
  const auto byte_at = [](int64_t at) { return static_cast<uint8_t>(at * 2654435761 >> 13); };
  large.push_back({"large.weight",
                   kBytes,
                   [&](const Tensor& bytes, int64_t begin) {
                     EXPECT_EQ(begin, next) << "in order, without gap";
                     EXPECT_EQ(begin % kUnit, 0);
                     next = begin + bytes.byte_count();
                     for (int64_t at = 0; at < bytes.byte_count(); ++at)
                       bytes.mutable_data<uint8_t>()[at] = byte_at(begin + at);
                   },
                   [&](const Tensor& bytes) { EXPECT_TRUE(bytes.is_read_only()) << "mapped"; },
                   {},
                   kUnit});
  reset_memory_peaks(Device::kCpu);
  const int64_t before = system_memory_use(Device::kCpu).now;
  const std::optional<KeptWeights> kept = cache("", int64_t{1} << 30).make(large, Check::kNow);
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(next, kBytes);
  EXPECT_LT(system_memory_use(Device::kCpu).peak, before + kBytes / 3);
  EXPECT_LE(system_memory_use(Device::kCpu).now, before) << "nothing stays behind";
  const Tensor& bytes = kept->at("large.weight").bytes;
  ASSERT_EQ(bytes.byte_count(), kBytes);
  int64_t wrong = 0;
  for (int64_t at = 0; at < kBytes; ++at) wrong += bytes.data<uint8_t>()[at] != byte_at(at);
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(cache("", int64_t{1} << 30).load(Check::kNow).has_value()) << "its checksum is of the whole";
}

TEST_F(WeightCacheTest, WhatFailsHalfWayLeavesNoFileAndIsMadeInMemory) {
  for (const Check check : {Check::kNow, Check::kLater}) {
    std::vector<nn::MadeWeight> failing = weights(11);
    int calls = 0;
    failing[1].make = [&, make = failing[1].make](const Tensor& bytes, int64_t begin) {
      if (++calls == 1) fail(ErrorCode::kExhausted, "the disk is full");
      make(bytes, begin);
    };
    made = 0;
    used.clear();
    EXPECT_FALSE(cache().make(failing, check).has_value());
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(made, 4) << "the first twice, the others once";
    EXPECT_TRUE(fs::is_empty(folder_ / "weights"));
    const auto in_memory = used;
    EXPECT_TRUE(cache("another").make(weights(11), check).has_value());
    EXPECT_EQ(used, in_memory);
    fs::remove(cache().path());
  }
}

TEST_F(WeightCacheTest, KeepsNoMoreThanItMay) {
  cache("", 100).make(weights(8), Check::kNow);
  EXPECT_FALSE(file_exists(cache().path())) << "too large alone";
  constexpr int64_t kTwo = 2 * 4096;
  for (const char* name : {"first", "second", "third"}) {
    const WeightCache kept = cache("", kTwo, name);
    kept.make(weights(9), Check::kNow);
    // Times that no clock's steps blur.
    fs::last_write_time(kept.path(), fs::file_time_type::clock::now() - std::chrono::hours(name[0] == 's'));
  }
  EXPECT_TRUE(file_exists(cache("", kTwo, "first").path()));
  EXPECT_FALSE(file_exists(cache("", kTwo, "second").path())) << "the longest unused";
  EXPECT_TRUE(file_exists(cache("", kTwo, "third").path()));
}

}  // namespace
}  // namespace martlet::models
