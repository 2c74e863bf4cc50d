#include "ops/key_value_tiles.h"

#include <cmath>
#include <limits>

#include "base/thread_pool.h"
#include "ops/attention.h"
#include "ops/op_testing.h"

namespace martlet::ops {
namespace {

using testing::at_every_level;
using testing::bits_of;
using testing::Draws;
using ::testing::HasSubstr;
using testing::message_of;

class KeyValueTilesTest : public testing::OpTest {};

struct Rows {
  Tensor keys, values;
};

Rows random_rows(Draws& draws, int64_t positions, int64_t heads, int64_t head_dim, int64_t value_dim,
                 DType dtype = DType::kF32) {
  return {draws.dense({positions, heads, head_dim}, dtype),
          draws.dense({positions, heads, value_dim}, dtype)};
}

KeyValueTiles tiles_of(CacheFormat format, const Rows& rows, int64_t spare = 1) {
  KeyValueTiles tiles = make_key_value_tiles(format, rows.keys.dim(0) / KeyValueTiles::kPositions + spare,
                                             rows.keys.dim(1), rows.keys.dim(2), rows.values.dim(2));
  write_key_values(tiles, 0, rows.keys, rows.values);
  return tiles;
}

/// The definition: a group's scale, rounded to binary16, times the nearest whole number that the format has.
std::vector<float> rounded(CacheFormat format, const Tensor& rows) {
  const std::vector<double> exact = testing::as_doubles(rows);
  const auto dim = static_cast<size_t>(rows.dim(2));
  std::vector<float> result(exact.size());
  for (size_t at = 0; at < exact.size(); ++at) {
    const auto x = static_cast<float>(exact[at]);
    if (format == CacheFormat::kF32) result[at] = x;
    if (format == CacheFormat::kF16) result[at] = to_float(to_f16(x));
    if (format != CacheFormat::kQ8 && format != CacheFormat::kQ4) continue;
    const size_t row = at / dim * dim;
    const size_t group = row + (at - row) / 32 * 32;
    double widest = 0;
    for (size_t i = group; i < std::min(group + 32, row + dim); ++i)
      if (std::abs(exact[i]) > std::abs(widest)) widest = exact[i];
    const bool bytes = format == CacheFormat::kQ8;
    const float scale = to_float(to_f16(static_cast<float>(bytes ? std::abs(widest) / 127 : widest / -8)));
    const double code = scale == 0 ? 0 : std::nearbyint(exact[at] / static_cast<double>(scale));
    result[at] =
        static_cast<float>(bytes ? std::clamp(code, -127.0, 127.0) : std::clamp(code, -8.0, 7.0)) * scale;
  }
  return result;
}

TEST_F(KeyValueTilesTest, HoldWhatTheFormatMakesOfEveryElement) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    Draws draws(seed);
    const CacheFormat format = kAllCacheFormats[seed % 4];
    const DType dtype = seed % 3 == 0 ? DType::kF16 : seed % 3 == 1 ? DType::kBF16 : DType::kF32;
    const Rows rows = random_rows(draws, draws.between(1, 150), draws.between(1, 3), draws.between(1, 70),
                                  draws.between(1, 70), dtype);
    const KeyValueTiles tiles = tiles_of(format, rows);
    // 1 / scale is rounded, so that a tie may fall the other way: by one step of one element, seldom.
    const auto compare = [&](const Tensor& read, const Tensor& given) {
      const std::vector<float> got = read.to_vector<float>(), wanted = rounded(format, given);
      size_t differ = 0;
      for (size_t i = 0; i < got.size(); ++i) differ += got[i] != wanted[i] ? 1 : 0;
      EXPECT_LE(differ, got.size() / 500) << name_of(format);
    };
    compare(read_keys(tiles), rows.keys);
    compare(read_values(tiles), rows.values);
  }
}

TEST_F(KeyValueTilesTest, AreTheSameWrittenAtOnceAndInPiecesByAnyThreads) {
  for (const CacheFormat format : kAllCacheFormats) {
    Draws draws(7);
    const Rows rows = random_rows(draws, 600, 3, 64, 48);
    set_thread_count(4);
    const KeyValueTiles whole = tiles_of(format, rows);
    set_thread_count(1);
    KeyValueTiles pieces = make_key_value_tiles(format, whole.keys.dim(0), 3, 64, 48);
    for (int64_t done = 0; done < 600;) {
      const int64_t now = std::min<int64_t>(1 + draws.below(90), 600 - done);
      write_key_values(pieces, done, rows.keys.slice(0, done, done + now),
                       rows.values.slice(0, done, done + now));
      done += now;
    }
    EXPECT_EQ(bits_of(pieces.keys), bits_of(whole.keys)) << name_of(format);
    EXPECT_EQ(bits_of(pieces.values), bits_of(whole.values)) << name_of(format);
  }
}

TEST_F(KeyValueTilesTest, AttentionReadsThemAsItReadsTheSameNumbersInRows) {
  for (uint64_t seed = 0; seed < 48; ++seed) {
    SCOPED_TRACE(seed);
    Draws draws(1000 + seed);
    const CacheFormat format = kAllCacheFormats[seed % 4];
    const int64_t heads = draws.between(1, 3), group = draws.between(1, 9);
    const int64_t head_dim = draws.between(1, 140), value_dim = draws.between(1, 140);
    const int64_t positions = draws.between(1, 700);
    const int64_t queries = seed % 2 == 0 ? 1 : std::min<int64_t>(positions, draws.between(1, 40));
    const KeyValueTiles tiles =
        tiles_of(format, random_rows(draws, positions, heads, head_dim, value_dim), draws.between(1, 3));
    const Tensor q = draws.dense({queries, heads * group, head_dim}, DType::kF32);
    AttentionOptions options;
    options.scale = 1 / std::sqrt(static_cast<float>(head_dim));
    if (seed % 5 == 0) options.window = draws.between(1, 300);
    AttentionSequence tiled{0, queries, {}, {}, tiles};
    const AttentionSequence plain{0, queries, read_keys(tiles), read_values(tiles)};
    at_every_level([&] {
      Tensor sums, expected_sums;
      const Tensor expected = attention(q, std::span(&plain, 1), options, &expected_sums);
      EXPECT_EQ(bits_of(attention(q, std::span(&tiled, 1), options, &sums)), bits_of(expected));
      EXPECT_EQ(bits_of(sums), bits_of(expected_sums));
    });
    const Tensor there = q.to(Device::kReference);
    testing::expect_close(attention(there, std::span(&tiled, 1), options).to(Device::kCpu),
                          attention(q, std::span(&plain, 1), options), {2e-6, 2e-6});
  }
}

TEST_F(KeyValueTilesTest, LargeElementsStayFiniteAndNaNsShow) {
  const std::vector<float> values = {1e6f, -1e30f, 3.0f, std::numeric_limits<float>::quiet_NaN()};
  const Tensor rows = Tensor::from(values, {2, 1, 2});
  for (const CacheFormat format : kAllCacheFormats) {
    const std::vector<float> read = read_keys(tiles_of(format, {rows, rows})).to_vector<float>();
    EXPECT_TRUE(std::isfinite(read[0]) && std::isfinite(read[1])) << name_of(format);
    EXPECT_LT(read[1], -60000.0f) << name_of(format);
    EXPECT_TRUE(std::isnan(read[3])) << name_of(format);
  }
}

TEST_F(KeyValueTilesTest, FewBitsTakeFewBytes) {
  EXPECT_EQ(key_tile_bytes(CacheFormat::kF32, 128), 64 * 128 * 4);
  EXPECT_EQ(key_tile_bytes(CacheFormat::kF16, 128), 64 * 128 * 2);
  EXPECT_EQ(key_tile_bytes(CacheFormat::kQ8, 128), 64 * (128 + 4 * 2));
  EXPECT_EQ(value_tile_bytes(CacheFormat::kQ4, 128), 64 * (64 + 4 * 2));
}

TEST_F(KeyValueTilesTest, SayWhatDoesNotFit) {
  Draws draws(3);
  const Rows rows = random_rows(draws, 10, 2, 16, 16);
  KeyValueTiles tiles = tiles_of(CacheFormat::kF16, rows);
  EXPECT_THAT(message_of([&] { write_key_values(tiles, 60, rows.keys, rows.values); }),
              HasSubstr("64 positions has no room for 10 behind 60"));
  EXPECT_THAT(message_of([&] { write_key_values(tiles, 10, rows.keys.slice(2, 0, 8), rows.values); }),
              HasSubstr("keys of 16"));
  EXPECT_THAT(message_of([&] { static_cast<void>(tiles.first(11)); }),
              HasSubstr("10 positions has no first 11"));
  AttentionSequence sequence{0, 1, {}, {}, tiles};
  const auto message = [&](const Tensor& q) {
    return message_of([&] { attention(q, std::span(&sequence, 1), {}); });
  };
  EXPECT_THAT(message(draws.dense({1, 2, 8}, DType::kF32)), HasSubstr("head_dim 8, its keys 16"));
  sequence.tiles.format = CacheFormat::kQ8;
  EXPECT_THAT(message(draws.dense({1, 2, 16}, DType::kF32)), HasSubstr("q8 do not have their layout"));
}

}  // namespace
}  // namespace martlet::ops
