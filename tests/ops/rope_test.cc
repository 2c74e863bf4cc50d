#include "ops/rope.h"

#include <cmath>

#include "base/thread_pool.h"
#include "ops/cast.h"
#include "ops/op_testing.h"

namespace martlet::ops {
namespace {

using testing::at_every_level;
using testing::bits_of;
using testing::Draws;
using testing::expect_close;
using ::testing::HasSubstr;
using testing::message_of;
using Kind = RopeScaling::Kind;

class Rope : public testing::OpTest {};

std::vector<float> values_of(const Tensor& tensor) {
  return cast(tensor, DType::kF32).to_vector<float>();
}

RopeScaling plain(int64_t dimensions) {
  RopeScaling scaling;
  scaling.dimensions = dimensions;
  scaling.max_positions = 2048;
  return scaling;
}

std::vector<int32_t> some_positions(int64_t count) {
  std::vector<int32_t> result;
  for (int64_t i = 0; i < count; ++i) result.push_back(static_cast<int32_t>(i * i * 37 % 5000));
  return result;
}

TEST_F(Rope, AgreesWithTheReferenceForAnyShapeAndInstructionSet) {
  Draws draws(1);
  for (int i = 0; i < 40; ++i) {
    const int64_t tokens = draws.below(20);
    const int64_t heads = draws.between(1, 5);
    const int64_t pairs = draws.between(1, 70);
    const Shape shape{tokens, heads + 2, 2 * pairs + 5 * draws.below(3)};
    const RopeFrequencies frequencies = rope_frequencies(plain(2 * pairs), 5000);
    const RopeTable table = rope_table(some_positions(tokens), frequencies);
    const RopeTable far = rope_table(some_positions(tokens), frequencies, Device::kReference);
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      // Heads in the midst of a larger tensor, as queries lie in a joint projection.
      const Tensor x = draws.dense(shape, dtype).slice(1, 1, heads + 1);
      const Tensor expected = rope(x.to(Device::kReference), far).to(Device::kCpu);
      at_every_level([&] {
        const Tensor result = rope(x, table);
        expect_close(result, expected, {2e-7, 2e-7});
        Tensor copy = x.clone();
        rope_in_place(copy, table);
        EXPECT_EQ(bits_of(copy), bits_of(result));
      });
    }
  }
}

TEST_F(Rope, InPlaceTouchesNothingButTheRotatedDimensions) {
  const Tensor all = Draws(2).dense({3, 4, 10}, DType::kF32);
  const std::vector<float> values = values_of(all);
  const RopeTable table = rope_table(std::vector<int32_t>{5, 6, 7}, rope_frequencies(plain(6), 8));
  Tensor heads = all.slice(1, 1, 3).slice(2, 2, 10);
  rope_in_place(heads, table);
  const std::vector<float> after = all.to_vector<float>();
  for (size_t i = 0; i < after.size(); ++i) {
    const size_t head = i / 10 % 4;
    const bool rotated = head >= 1 && head < 3 && i % 10 >= 2 && i % 10 < 8;
    EXPECT_EQ(after[i] != values[i], rotated) << i;
  }
}

TEST_F(Rope, PositionZeroChangesNothing) {
  const Tensor x = Draws(3).dense({1, 2, 64}, DType::kF32);
  const RopeTable table = rope_table(std::vector<int32_t>{0}, rope_frequencies(plain(64), 1));
  EXPECT_EQ(values_of(rope(x, table)), values_of(x));
}

TEST_F(Rope, ProductsOfQueriesAndKeysDependOnTheDistanceAlone) {
  const RopeFrequencies frequencies = rope_frequencies(plain(32), 200);
  const Tensor q = Draws(4).dense({1, 1, 32}, DType::kF32);
  const Tensor k = Draws(5).dense({1, 1, 32}, DType::kF32);
  const auto product = [&](int32_t q_at, int32_t k_at) {
    const std::vector<float> a = values_of(rope(q, rope_table(std::vector<int32_t>{q_at}, frequencies)));
    const std::vector<float> b = values_of(rope(k, rope_table(std::vector<int32_t>{k_at}, frequencies)));
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return sum;
  };
  EXPECT_NEAR(product(7, 3), product(107, 103), 1e-4);
  EXPECT_GT(std::abs(product(7, 3) - product(7, 4)), 1e-3);
}

TEST_F(Rope, CosinesAndSinesAreThoseOfTheRoundedAngleEvenFarOut) {
  const RopeFrequencies frequencies = rope_frequencies(plain(64), 1);
  const std::vector<int32_t> positions = {1, 1000, 65537, 999983, 1 << 24};
  const RopeTable table = rope_table(positions, frequencies);
  const std::vector<float> cosine = table.cosine.to_vector<float>();
  const std::vector<float> sine = table.sine.to_vector<float>();
  for (size_t i = 0; i < cosine.size(); ++i) {
    const float angle = static_cast<float>(positions[i / 32]) * frequencies.inverse[i % 32];
    EXPECT_EQ(cosine[i], static_cast<float>(std::cos(static_cast<double>(angle))));
    EXPECT_EQ(sine[i], static_cast<float>(std::sin(static_cast<double>(angle))));
  }
}

TEST_F(Rope, GivesTheSameBitsForAnyNumberOfThreadsAndTokens) {
  const Tensor x = Draws(6).dense({700, 3, 64}, DType::kF32);
  const RopeFrequencies frequencies = rope_frequencies(plain(64), 5000);
  const std::vector<int32_t> positions = some_positions(700);
  set_thread_count(1);
  const std::vector<float> expected = values_of(rope(x, rope_table(positions, frequencies)));
  set_thread_count(3);
  EXPECT_EQ(values_of(rope(x, rope_table(positions, frequencies))), expected);
  const std::vector<float> one =
      values_of(rope(x.slice(0, 699, 700), rope_table(std::span(positions).subspan(699), frequencies)));
  EXPECT_TRUE(std::equal(one.begin(), one.end(), expected.end() - 192));
}

TEST_F(Rope, LinearScalingIsATableOfSlowerPositions) {
  RopeScaling scaling = plain(16);
  const RopeFrequencies base = rope_frequencies(scaling, 1);
  scaling.kind = Kind::kLinear;
  scaling.factor = 4;
  const RopeFrequencies slow = rope_frequencies(scaling, 1);
  for (size_t i = 0; i < base.inverse.size(); ++i) EXPECT_EQ(slow.inverse[i] * 4, base.inverse[i]);
}

TEST_F(Rope, DynamicAndLongropeDependOnTheSequenceOnlyPastTheTrainedLength) {
  RopeScaling scaling = plain(16);
  scaling.kind = Kind::kDynamic;
  scaling.factor = 2;
  EXPECT_EQ(rope_frequencies(scaling, 3).inverse, rope_frequencies(scaling, 2048).inverse);
  EXPECT_NE(rope_frequencies(scaling, 2049).inverse, rope_frequencies(scaling, 2048).inverse);
  scaling.kind = Kind::kLongrope;
  scaling.original_positions = 512;
  scaling.factor = 0;
  scaling.short_factor.assign(8, 1.5);
  scaling.long_factor.assign(8, 3.0);
  EXPECT_EQ(rope_frequencies(scaling, 512).inverse[0], 1 / 1.5f);
  EXPECT_EQ(rope_frequencies(scaling, 513).inverse[0], 1 / 3.0f);
  const double expected = std::sqrt(1 + std::log(4.0) / std::log(512.0));
  EXPECT_EQ(rope_frequencies(scaling, 1).attention_scale, static_cast<float>(expected));
}

TEST_F(Rope, SaysWhatAScalingLacks) {
  const auto message = [](const std::function<void(RopeScaling&)>& spoil) {
    RopeScaling scaling = plain(16);
    spoil(scaling);
    return message_of([&] { rope_frequencies(scaling, 10); });
  };
  EXPECT_THAT(message([](RopeScaling& s) { s.dimensions = 15; }),
              HasSubstr("even number of dimensions, got 15"));
  EXPECT_THAT(message([](RopeScaling& s) { s.base = -1; }), HasSubstr("rope_theta"));
  EXPECT_THAT(message([](RopeScaling& s) { s.kind = Kind::kLinear; }),
              HasSubstr("factor must be above 0, got 0"));
  EXPECT_THAT(message([](RopeScaling& s) {
                s.kind = Kind::kDynamic;
                s.factor = 2;
                s.dimensions = 2;
              }),
              HasSubstr("4 dimensions"));
  EXPECT_THAT(message([](RopeScaling& s) {
                s.kind = Kind::kYarn;
                s.base = 1;
              }),
              HasSubstr("yarn"));
  EXPECT_THAT(message([](RopeScaling& s) {
                s.kind = Kind::kLongrope;
                s.short_factor.assign(8, 1.0);
                s.long_factor.assign(7, 1.0);
              }),
              HasSubstr("long_factor has 7 entries; 16 rotated dimensions take 8"));
  EXPECT_THAT(message([](RopeScaling& s) {
                s.kind = Kind::kLlama3;
                s.factor = 8;
                s.high_frequency_factor = 1;
              }),
              HasSubstr("low_freq_factor"));
}

TEST_F(Rope, SaysWhatDoesNotFit) {
  const Tensor x = Tensor::zeros({2, 3, 8}, DType::kF32);
  const auto table = [](int64_t tokens, int64_t dimensions) {
    return rope_table(std::vector<int32_t>(static_cast<size_t>(tokens)),
                      rope_frequencies(plain(dimensions), 1));
  };
  EXPECT_THAT(message_of([&] { rope(x.select(0, 0), table(2, 8)); }), HasSubstr("[tokens, heads, head_dim]"));
  EXPECT_THAT(message_of([&] { rope(x, table(3, 8)); }), HasSubstr("2 tokens"));
  EXPECT_THAT(message_of([&] { rope(x, table(2, 10)); }), HasSubstr("at most 8 dimensions"));
  EXPECT_THAT(message_of([&] { rope(x.transpose(1, 2), table(2, 2)); }), HasSubstr("dense"));
  EXPECT_THAT(message_of([&] { rope(x.to(Device::kReference), table(2, 8)); }), HasSubstr("reference"));
  Tensor repeated = x.select(1, 0).unsqueeze(1).expand({2, 4, 8});
  EXPECT_THAT(message_of([&] {
                rope_in_place(repeated, table(2, 8));
              }),
              HasSubstr("read-only"));
}

}  // namespace
}  // namespace martlet::ops
