#include "infer/kv_cache.h"

#include <gtest/gtest.h>

#include "tensor/dtype.h"

namespace martlet::infer {
namespace {

/// Positions of one head, as a forward brings them.
void append(GrowingKvCache& cache, int64_t positions) {
  const Tensor all = Tensor::zeros({positions, 1, 8}, DType::kF32);
  for (int64_t layer = 0; layer < cache.layer_count(); ++layer)
    cache.append(layer, ops::CacheFormat::kF16, all, all);
}

/// As a prompt is read, then token after token.
void read(GrowingKvCache& cache, int64_t prompt, int64_t positions) {
  while (cache.length() < prompt) append(cache, std::min(kPrefillTokens, prompt - cache.length()));
  while (cache.length() < positions) append(cache, 1);
}

TEST(GrowingKvCacheTest, TakesTheTilesThatAreForecast) {
  for (const int64_t prompt : {1, 60, 64, 65, 500, 512, 513, 1300})
    for (const int64_t more : {0, 1, 100, 900}) {
      GrowingKvCache cache(2);
      read(cache, prompt, prompt + more);
      GrowingKvCache one_tile(2);
      append(one_tile, 1);
      EXPECT_EQ(cache.byte_count(), tiles_of_growing(prompt, prompt + more) * one_tile.byte_count())
          << prompt << " and " << more;
    }
}

TEST(GrowingKvCacheTest, ACopiedBeginningGrowsAsOneThatWasRead) {
  for (const int64_t prompt : {20, 100, 600, 1300, 2000})
    for (const int64_t shared : {1, 10, 90, 511, 599, 1025, 1990}) {
      if (shared >= prompt) continue;
      GrowingKvCache source(2), read_whole(2), copied(2);
      read(source, shared, shared);
      copied.copy_prefix(source, shared, prompt);
      for (const int64_t positions : {prompt, prompt + 300}) {
        read(read_whole, prompt, positions);
        read(copied, prompt, positions);
        EXPECT_EQ(copied.byte_count(), read_whole.byte_count())
            << shared << " of " << prompt << ", then " << positions;
      }
    }
}

}  // namespace
}  // namespace martlet::infer
