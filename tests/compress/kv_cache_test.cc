#include "compress/kv_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "infer/generate.h"
#include "nn/apply_rewrite.h"
#include "nn/layers.h"
#include "support/random_model.h"

namespace martlet::compress {
namespace {

constexpr const nn::Rewrite* kCatalogue[] = {&kKvCache};

nn::RewriteHistory keep_as(const nn::ModulePtr& model, std::string_view format,
                           std::string_view pattern = "layers.**") {
  nn::RewriteHistory history;
  nn::apply_rewrite(model, {"kv_cache", Json().set("pattern", pattern).set("format", format)}, kCatalogue,
                    history);
  return history;
}

std::vector<int32_t> drawn_ids(size_t count) {
  std::vector<int32_t> ids(count);
  for (size_t i = 0; i < count; ++i) ids[i] = static_cast<int32_t>(i * 37 % 97);
  return ids;
}

/// Scores of all ids, read through a cache in pieces of `step`.
std::vector<float> scores(nn::Model& model, size_t step) {
  const std::vector<int32_t> ids = drawn_ids(130);
  infer::GrowingKvCache cache(model.shape().layers);
  std::vector<float> all;
  for (size_t begin = 0; begin < ids.size(); begin += step) {
    nn::Batch batch;
    batch.add(std::span(ids).subspan(begin, std::min(step, ids.size() - begin)), &cache);
    const std::vector<float> rows = model.logits(model.hidden(batch)).to_vector<float>();
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i] - b[i]), 2);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

TEST(KvCacheRewrite, ATokenSeesTheSameKeysDecodedAsReadAtOnce) {
  for (const std::string_view format : {"f32", "f16", "q8", "q4"}) {
    const auto model = martlet::testing::random_llama(2);
    keep_as(model, format);
    const std::vector<float> whole = scores(*model, 1000);
    EXPECT_EQ(scores(*model, 1), whole) << format;
    EXPECT_EQ(scores(*model, 70), whole) << format;
  }
}

TEST(KvCacheRewrite, FewerBitsStrayFurtherFromTheExactScores) {
  const auto exact = martlet::testing::random_llama(2);
  const std::vector<float> wanted = scores(*exact, 1000);
  double last = 0;
  for (const std::string_view format : {"f16", "q8", "q4"}) {
    const auto model = martlet::testing::random_llama(2);
    keep_as(model, format);
    const double now = distance(scores(*model, 1000), wanted);
    EXPECT_GT(now, 3 * last) << format;
    last = now;
  }
  const std::vector<float> nothing(wanted.size(), 0.0f);
  EXPECT_LT(last, 0.3 * distance(wanted, nothing)) << "even 4 bits keep most of what the model says";
}

TEST(KvCacheRewrite, ForecastsWhatTheCacheTakes) {
  const auto model = martlet::testing::random_llama(2);
  const int64_t before = nn::cache_tile_bytes(model);
  const nn::Arguments arguments(kKvCache.arguments, Json().set("format", "q4"), "test");
  const auto effect = kKvCache.effect(model, arguments);
  keep_as(model, "q4");
  infer::GrowingKvCache cache(2);
  nn::Batch batch;
  batch.add(drawn_ids(64), &cache);
  model->hidden(batch);
  EXPECT_EQ(cache.byte_count(), nn::cache_tile_bytes(model));
  EXPECT_EQ(cache.byte_count(), before + effect->cache_tile_bytes);
  EXPECT_LE(cache.byte_count(), before / 4);
}

TEST(KvCacheRewrite, TouchesTheLayersOfThePatternAlone) {
  const auto model = martlet::testing::random_llama(2);
  EXPECT_EQ(keep_as(model, "q8", "layers.1.**").back().changed.size(), 1u);
  const auto details = [&](const char* path) { return nn::module_at(*model, path)->details(); };
  EXPECT_EQ(details("layers.0.attention.core"), "causal");
  EXPECT_EQ(details("layers.1.attention.core"), "causal, cache q8");
}

TEST(KvCacheRewrite, RefusesAFormatThatIsNone) {
  const auto model = martlet::testing::random_llama(2);
  try {
    keep_as(model, "f61");
    FAIL() << "it was taken";
  } catch (const Error& error) {
    EXPECT_THAT(std::string(error.what()), ::testing::HasSubstr("f16"));
  }
}

}  // namespace
}  // namespace martlet::compress
