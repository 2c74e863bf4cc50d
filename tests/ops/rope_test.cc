#include "ops/rope.h"

#include <cmath>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/thread_pool.h"
#include "ops/cpu_features.h"

namespace martlet::ops {
namespace {

using Kind = RopeScaling::Kind;
constexpr CpuFeatures kEverything{true, true, true, true};
const CpuFeatures kLevels[] = {kEverything, {true, false, false, false}, {}};

class Rope : public ::testing::Test {
 protected:
  ~Rope() override {
    limit_cpu_features(kEverything);
    set_thread_count(0);
  }
};

std::vector<float> normals(uint64_t seed, int64_t count) {
  const Philox random(seed);
  std::vector<float> result;
  for (int64_t i = 0; i < count; ++i)
    result.push_back(static_cast<float>(random.normal(static_cast<uint64_t>(i))));
  return result;
}

std::vector<BF16> narrow(const std::vector<float>& values) {
  std::vector<BF16> result;
  for (const float value : values) result.push_back(to_bf16(value));
  return result;
}

std::vector<float> widen(const Tensor& tensor) {
  if (tensor.dtype() == DType::kF32) return tensor.to_vector<float>();
  std::vector<float> result;
  for (const BF16 value : tensor.to_vector<BF16>()) result.push_back(to_float(value));
  return result;
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

/// x on the CPU against the reference, with every instruction set, in place and not.
void compare(const Tensor& x, int64_t dimensions, float tolerance) {
  const std::vector<int32_t> positions = some_positions(x.dim(0));
  const RopeFrequencies frequencies = rope_frequencies(plain(dimensions), 5000);
  const RopeTable far = rope_table(positions, frequencies, Device::kReference);
  const std::vector<float> expected = widen(rope(x.to(Device::kReference), far).to(Device::kCpu));
  const RopeTable table = rope_table(positions, frequencies);
  for (const CpuFeatures& level : kLevels) {
    limit_cpu_features(level);
    const std::vector<float> result = widen(rope(x, table));
    ASSERT_EQ(result.size(), expected.size());
    for (size_t i = 0; i < result.size(); ++i)
      ASSERT_NEAR(result[i], expected[i], tolerance * (1 + std::abs(expected[i])))
          << x.to_string() << ", " << dimensions << " dimensions, " << level.to_string();
    const Tensor copy = x.clone();
    rope_in_place(copy, table);
    EXPECT_EQ(widen(copy), result);
  }
}

TEST_F(Rope, AgreesWithTheReferenceForAnyShapeAndInstructionSet) {
  const Philox random(1);
  for (uint64_t i = 0; i < 40; ++i) {
    const int64_t tokens = static_cast<int64_t>(random.below(4 * i, 20));
    const int64_t heads = static_cast<int64_t>(1 + random.below(4 * i + 1, 5));
    const int64_t pairs = static_cast<int64_t>(1 + random.below(4 * i + 2, 70));
    const int64_t rest = static_cast<int64_t>(random.below(4 * i + 3, 3) * 5);
    const Shape shape{tokens, heads + 2, 2 * pairs + rest};
    const std::vector<float> values = normals(i, shape.element_count());
    // Heads in the midst of a larger tensor, as queries lie in a joint projection.
    compare(Tensor::from(values, shape).slice(1, 1, heads + 1), 2 * pairs, 2e-7f);
    compare(Tensor::from(narrow(values), shape).slice(1, 1, heads + 1), 2 * pairs, 8e-3f);
  }
}

TEST_F(Rope, InPlaceTouchesNothingButTheRotatedDimensions) {
  const std::vector<float> values = normals(2, 3 * 4 * 10);
  const Tensor all = Tensor::from(values, {3, 4, 10});
  const RopeTable table = rope_table(std::vector<int32_t>{5, 6, 7}, rope_frequencies(plain(6), 8));
  rope_in_place(all.slice(1, 1, 3).slice(2, 2, 10), table);
  const std::vector<float> after = all.to_vector<float>();
  for (size_t i = 0; i < after.size(); ++i) {
    const size_t head = i / 10 % 4;
    const bool rotated = head >= 1 && head < 3 && i % 10 >= 2 && i % 10 < 8;
    EXPECT_EQ(after[i] != values[i], rotated) << i;
  }
}

TEST_F(Rope, PositionZeroChangesNothing) {
  const Tensor x = Tensor::from(normals(3, 128), {1, 2, 64});
  const RopeTable table = rope_table(std::vector<int32_t>{0}, rope_frequencies(plain(64), 1));
  EXPECT_EQ(widen(rope(x, table)), widen(x));
}

TEST_F(Rope, ProductsOfQueriesAndKeysDependOnTheDistanceAlone) {
  const RopeFrequencies frequencies = rope_frequencies(plain(32), 200);
  const Tensor q = Tensor::from(normals(4, 32), {1, 1, 32});
  const Tensor k = Tensor::from(normals(5, 32), {1, 1, 32});
  const auto product = [&](int32_t q_at, int32_t k_at) {
    const std::vector<float> a = widen(rope(q, rope_table(std::vector<int32_t>{q_at}, frequencies)));
    const std::vector<float> b = widen(rope(k, rope_table(std::vector<int32_t>{k_at}, frequencies)));
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
  const Tensor x = Tensor::from(normals(6, 700 * 3 * 64), {700, 3, 64});
  const RopeFrequencies frequencies = rope_frequencies(plain(64), 5000);
  const std::vector<int32_t> positions = some_positions(700);
  set_thread_count(1);
  const std::vector<float> expected = widen(rope(x, rope_table(positions, frequencies)));
  set_thread_count(3);
  EXPECT_EQ(widen(rope(x, rope_table(positions, frequencies))), expected);
  const std::vector<float> one =
      widen(rope(x.slice(0, 699, 700), rope_table(std::span(positions).subspan(699), frequencies)));
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

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing";
}

TEST_F(Rope, SaysWhatAScalingLacks) {
  using ::testing::HasSubstr;
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
  using ::testing::HasSubstr;
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
  EXPECT_THAT(message_of([&] {
                rope_in_place(x.select(1, 0).unsqueeze(1).expand({2, 4, 8}), table(2, 8));
              }),
              HasSubstr("read-only"));
}

}  // namespace
}  // namespace martlet::ops
