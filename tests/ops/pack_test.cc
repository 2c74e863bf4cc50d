// Packing: what the searches must hold whatever the data. tests/oracle/test_quantize.py compares with ggml.

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <vector>

#include "base/random.h"
#include "ops/packed_format.h"
#include "tensor/dtype.h"

namespace martlet::ops {
namespace {

constexpr int64_t kElements = 16 * 256;

std::vector<const PackedFormat*> written_formats() {
  std::vector<const PackedFormat*> formats;
  for (const PackedFormat* format : packed_formats())
    if (format->pack != nullptr) formats.push_back(format);
  return formats;
}

enum class Shape { kNormal, kHeavyTails, kOneSided };

std::vector<float> drawn(Shape shape, uint64_t seed) {
  const Philox random(seed, 3);
  std::vector<float> x(kElements);
  for (size_t i = 0; i < x.size(); ++i) {
    double value = 0.02 * random.normal(2 * i);
    if (shape == Shape::kHeavyTails) value *= std::exp(1.5 * random.normal(2 * i + 1));
    if (shape == Shape::kOneSided) value = std::fabs(value) + 0.01;
    x[i] = static_cast<float>(value);
  }
  return x;
}

std::vector<float> drawn_importance(uint64_t seed) {
  const Philox random(seed, 4);
  std::vector<float> weights(kElements);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(std::exp(2 * random.normal(i)));
  return weights;
}

std::vector<std::byte> packed(const PackedFormat& format, const std::vector<float>& x,
                              const float* importance) {
  const int64_t blocks = static_cast<int64_t>(x.size()) / format.block_elements;
  std::vector<std::byte> bytes(static_cast<size_t>(blocks * format.block_bytes));
  format.pack(x.data(), importance, blocks, bytes.data());
  return bytes;
}

std::vector<float> unpacked(const PackedFormat& format, const std::vector<std::byte>& bytes) {
  const int64_t blocks = static_cast<int64_t>(bytes.size()) / format.block_bytes;
  std::vector<float> x(static_cast<size_t>(blocks * format.block_elements));
  format.unpack(bytes.data(), blocks, x.data());
  return x;
}

double error_of(const std::vector<float>& x, const std::vector<float>& y, const float* importance) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double rest = double{x[i]} - y[i];
    sum += (importance == nullptr ? 1.0 : importance[i]) * rest * rest;
  }
  return sum;
}

/// What a format does without any search: levels put between the extremes of `group` elements.
struct Plain {
  std::string_view name;
  int group;
  int steps;       // between the extremes
  bool symmetric;  // the extremes are -|greatest| and |greatest|
};
constexpr Plain kPlain[] = {{"q4_0", 32, 15, true},  {"q4_1", 32, 15, false}, {"q5_0", 32, 31, true},
                            {"q5_1", 32, 31, false}, {"q8_0", 32, 254, true}, {"q4_k", 32, 15, false},
                            {"q5_k", 32, 31, false}, {"q6_k", 16, 63, true},  {"iq4_nl", 32, 15, true}};

std::vector<float> rounded_plainly(const Plain& plain, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  const auto group = static_cast<size_t>(plain.group);
  for (size_t begin = 0; begin < x.size(); begin += group) {
    const auto [low, high] = std::minmax_element(x.begin() + static_cast<int64_t>(begin),
                                                 x.begin() + static_cast<int64_t>(begin + group));
    float least = *low, most = *high;
    if (plain.symmetric) {
      most = std::max(std::fabs(least), std::fabs(most));
      least = -most;
    } else {
      least = std::min(least, plain.name.ends_with("_k") ? 0.0f : least);
    }
    const float step = (most - least) / static_cast<float>(plain.steps);
    for (size_t i = begin; i < begin + group; ++i) y[i] = least + step * std::round((x[i] - least) / step);
  }
  return y;
}

TEST(Pack, EveryFormatOfTheTableIsWritten) {
  std::vector<std::string_view> names;
  for (const PackedFormat* format : written_formats()) names.push_back(format->name);
  std::vector<std::string_view> expected;
  for (const Plain& plain : kPlain) expected.push_back(plain.name);
  std::sort(names.begin(), names.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(names, expected);
}

TEST(Pack, TheSearchBeatsRoundingBetweenTheExtremes) {
  for (const Plain& plain : kPlain) {
    const PackedFormat& format = *find_packed_format(plain.name);
    for (const Shape shape : {Shape::kNormal, Shape::kHeavyTails, Shape::kOneSided}) {
      const std::vector<float> x = drawn(shape, 1);
      const double plainly = error_of(x, rounded_plainly(plain, x), nullptr);
      // Levels that are no equal steps suit values on both sides of zero only.
      const double share = plain.name == "iq4_nl" && shape == Shape::kOneSided ? 1.6 : 1.0;
      EXPECT_LT(error_of(x, unpacked(format, packed(format, x, nullptr)), nullptr), share * plainly)
          << plain.name << " " << static_cast<int>(shape);
    }
  }
}

TEST(Pack, ImportanceLowersTheErrorThatItWeighs) {
  for (const PackedFormat* format : written_formats()) {
    const std::vector<float> x = drawn(Shape::kNormal, 2);
    const std::vector<float> importance = drawn_importance(2);
    const double with =
        error_of(x, unpacked(*format, packed(*format, x, importance.data())), importance.data());
    const double without = error_of(x, unpacked(*format, packed(*format, x, nullptr)), importance.data());
    EXPECT_LT(with, 0.9 * without) << format->name;
  }
}

TEST(Pack, EveryElementHasTheNearestLevelOfItsScale) {
  struct Row {
    std::string_view name;
    float low, high;
  };
  for (const Row& row : {Row{"q4_0", -8, 7}, Row{"q5_0", -16, 15}, Row{"q8_0", -127, 127}}) {
    const PackedFormat& format = *find_packed_format(row.name);
    const std::vector<float> x = drawn(Shape::kHeavyTails, 3);
    const std::vector<float> importance = drawn_importance(3);
    const auto bytes = packed(format, x, importance.data());
    const auto y = unpacked(format, bytes);
    for (size_t i = 0; i < x.size(); ++i) {
      const std::byte* block = bytes.data() + static_cast<int64_t>(i) / 32 * format.block_bytes;
      const float d = to_float(
          F16{static_cast<uint16_t>(std::to_integer<int>(block[0]) | std::to_integer<int>(block[1]) << 8)});
      const float ends[] = {d * row.low, d * row.high};
      const float inside = std::clamp(x[i], std::min(ends[0], ends[1]), std::max(ends[0], ends[1]));
      EXPECT_LE(std::fabs(inside - y[i]), 0.5f * std::fabs(d) * (1 + 1e-5f)) << row.name << " " << i;
    }
  }
}

TEST(Pack, WhatWasUnpackedComesBack) {
  for (const PackedFormat* format : written_formats()) {
    const std::vector<float> x = drawn(Shape::kNormal, 4);
    const std::vector<float> once = unpacked(*format, packed(*format, x, nullptr));
    const std::vector<float> twice = unpacked(*format, packed(*format, once, nullptr));
    // Equal steps from zero are found exactly. Where minima or steps of steps are searched too, other
    // numbers may say nearly the same.
    if (format->name == "q4_0" || format->name == "q5_0" || format->name == "iq4_nl")
      EXPECT_EQ(once, twice) << format->name;
    else
      EXPECT_LT(error_of(once, twice, nullptr), 0.01 * error_of(x, once, nullptr)) << format->name;
  }
}

TEST(Pack, ABlockDependsOnNoOther) {
  for (const PackedFormat* format : written_formats()) {
    const std::vector<float> x = drawn(Shape::kHeavyTails, 5);
    const std::vector<float> importance = drawn_importance(5);
    const auto together = packed(*format, x, importance.data());
    std::vector<std::byte> alone(static_cast<size_t>(format->block_bytes));
    for (const int64_t block : {int64_t{0}, int64_t{3}, kElements / format->block_elements - 1}) {
      format->pack(x.data() + block * format->block_elements,
                   importance.data() + block * format->block_elements, 1, alone.data());
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + block * format->block_bytes))
          << format->name << " " << block;
    }
  }
}

TEST(Pack, OnlyRatiosOfImportanceCount) {
  for (const PackedFormat* format : written_formats()) {
    const std::vector<float> x = drawn(Shape::kNormal, 6);
    std::vector<float> importance = drawn_importance(6);
    const auto bytes = packed(*format, x, importance.data());
    for (float& weight : importance) weight *= 0x1p-60f;
    EXPECT_EQ(packed(*format, x, importance.data()), bytes) << format->name;
    const std::vector<float> none(kElements, 0.0f);
    EXPECT_EQ(packed(*format, x, none.data()), packed(*format, x, nullptr)) << format->name;
  }
}

TEST(Pack, ZerosStayZerosAndExtremesFinite) {
  for (const PackedFormat* format : written_formats()) {
    const std::vector<float> zeros(kElements, 0.0f);
    for (const float value : unpacked(*format, packed(*format, zeros, nullptr)))
      EXPECT_EQ(value, 0) << format->name;
    for (const float size : {1e38f, 1e-38f, 1e-44f}) {
      std::vector<float> x = drawn(Shape::kNormal, 7);
      for (float& value : x) value *= size;
      x[5] = size;
      for (const float value : unpacked(*format, packed(*format, x, nullptr)))
        ASSERT_TRUE(std::isfinite(value)) << format->name << " " << size;
    }
  }
}

TEST(Pack, OneNumberThroughoutIsKept) {
  for (const PackedFormat* format : written_formats()) {
    for (const float number : {0.37f, -2.5f}) {
      const std::vector<float> x(kElements, number);
      for (const float value : unpacked(*format, packed(*format, x, nullptr)))
        ASSERT_NEAR(value, number, 0.01f * std::fabs(number)) << format->name;
    }
  }
}

}  // namespace
}  // namespace martlet::ops
