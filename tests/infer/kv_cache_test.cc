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

int64_t tiles_of(const GrowingKvCache& cache) {
  GrowingKvCache one_tile(1);
  append(one_tile, 1);
  return cache.byte_count() / one_tile.byte_count();
}

// Forecasts count on it.
TEST(GrowingKvCacheTest, TakesAsManyTilesHoweverItsPositionsCame) {
  for (const int64_t lead : {0, 32})
    for (const int64_t prompt : {1, 60, 64, 65, 500, 512, 513, 950, 1300})
      for (const int64_t piece : {int64_t{74}, kPrefillTokens}) {
        GrowingKvCache read(1, lead), copied(1, lead);
        if (lead > 0) append(read, lead);
        while (read.length() < prompt) append(read, std::min(piece, prompt - read.length()));
        EXPECT_EQ(tiles_of(read), tiles_with_room(lead + prompt)) << prompt << " by " << piece;
        copied.copy_prefix(read, (prompt + 1) / 2);
        EXPECT_EQ(tiles_of(copied), tiles_with_room(lead + (prompt + 1) / 2));
        for (const GrowingKvCache& each : {read, copied}) {
          GrowingKvCache grown = each;
          append(grown, prompt + 300 - grown.length());
          EXPECT_EQ(tiles_of(grown), tiles_with_room(lead + prompt + 300)) << prompt << " by " << piece;
        }
      }
}

TEST(GrowingKvCacheTest, RoomIsAPowerOfTwo) {
  EXPECT_EQ(tiles_with_room(1), 1);
  EXPECT_EQ(tiles_with_room(64), 1);
  EXPECT_EQ(tiles_with_room(65), 2);
  EXPECT_EQ(tiles_with_room(300), 8);
}

}  // namespace
}  // namespace martlet::infer
