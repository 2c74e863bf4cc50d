#include "base/human.h"

#include <ctime>
#include <gtest/gtest.h>
#include <vector>

#include "base/random.h"

namespace martlet {
namespace {

TEST(Human, MomentsAreThoseOfThisPlace) {
  std::tm parts{};
  parts.tm_year = 2026 - 1900;
  parts.tm_mon = 10;
  parts.tm_mday = 6;
  parts.tm_hour = 4;
  parts.tm_min = 5;
  parts.tm_isdst = -1;
  EXPECT_EQ(format_moment(static_cast<double>(std::mktime(&parts)) + 59), "2026-11-06 04:05");
}

TEST(Human, SizesArePowersOf1024) {
  EXPECT_EQ(parse_size("4096"), 4096u);
  EXPECT_EQ(parse_size("0"), 0u);
  EXPECT_EQ(parse_size("17 B"), 17u);
  EXPECT_EQ(parse_size("6G"), uint64_t{6} << 30);
  EXPECT_EQ(parse_size("512 MiB"), uint64_t{512} << 20);
  EXPECT_EQ(parse_size("512MB"), uint64_t{512} << 20);
  EXPECT_EQ(parse_size("1.5g"), uint64_t{3} << 29);
  EXPECT_EQ(parse_size("2k"), 2048u);
  EXPECT_EQ(parse_size("3T"), uint64_t{3} << 40);
  EXPECT_EQ(parse_size("18446744073709551615"), UINT64_MAX);
}

TEST(Human, WhatIsNoSizeIsNothing) {
  for (const char* text : {"",
                           " ",
                           "G",
                           "-1",
                           "+1",
                           "1.5",
                           "1..5G",
                           ".5G",
                           "5.G",
                           "1e3",
                           "0x10",
                           "nan",
                           "inf",
                           "1 X",
                           "1GG",
                           "1GiBs",
                           "1  G",
                           "6 G ",
                           "18446744073709551616",
                           "99999999999T",
                           "16777216T",
                           "99999999999.5P"}) {
    EXPECT_FALSE(parse_size(text).has_value()) << text;
  }
}

TEST(Human, CountsArePowersOf1000) {
  EXPECT_EQ(parse_count("200"), 200);
  EXPECT_EQ(parse_count("4k"), 4000);
  EXPECT_EQ(parse_count("1.5M"), 1500000);
  EXPECT_EQ(parse_count("0.135B"), 135000000);
  EXPECT_EQ(parse_count("2G"), 2000000000);
  EXPECT_EQ(parse_count("9223372036854775807"), INT64_MAX);
  for (const char* text :
       {"", "k", "-4", "1.5", "1.0005k", "4kk", "4KB", "9223372036854775808", "9999999999999T", "4 x"}) {
    EXPECT_FALSE(parse_count(text).has_value()) << text;
  }
}

TEST(Human, BytesShowThreeDigits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(17), "17 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.00 KiB");
  EXPECT_EQ(format_bytes(uint64_t{1} << 30), "1.00 GiB");
  EXPECT_EQ(format_bytes((uint64_t{1} << 30) - 1), "1.00 GiB");
  EXPECT_EQ(format_bytes(103179878), "98.4 MiB");
  EXPECT_EQ(format_bytes(UINT64_MAX), "16.0 EiB");
}

TEST(Human, SizesShownCanBeReadAgainWithinHalfAPercent) {
  const Philox random(3);
  for (uint64_t i = 0; i < 1000; ++i) {
    const uint64_t bytes = random.below(2 * i, UINT64_MAX) >> random.below(2 * i + 1, 64);
    const auto back = parse_size(format_bytes(bytes));
    // Sizes of exbibytes are shown, not asked for.
    if (!back) continue;
    EXPECT_NEAR(static_cast<double>(*back), static_cast<double>(bytes),
                static_cast<double>(bytes) * 0.005 + 0.5);
  }
}

TEST(Human, NumbersAndDurations) {
  EXPECT_EQ(format_integer(134515008), "134,515,008");
  EXPECT_EQ(format_integer(999), "999");
  EXPECT_EQ(format_integer(1000), "1,000");
  EXPECT_EQ(format_integer(-123456), "-123,456");
  EXPECT_EQ(format_integer(INT64_MIN), "-9,223,372,036,854,775,808");
  EXPECT_EQ(format_count(960), "960");
  EXPECT_EQ(format_count(12.34), "12.3");
  EXPECT_EQ(format_count(134515008), "134.5M");
  EXPECT_EQ(format_count(1.1e9), "1.1B");
  EXPECT_EQ(format_count(999999), "1.0M");
  EXPECT_EQ(format_count(-4000), "-4.0k");
  EXPECT_EQ(format_duration(0.003), "3 ms");
  EXPECT_EQ(format_duration(0.3), "0.3 s");
  EXPECT_EQ(format_duration(59.97), "1 min 0 s");
  EXPECT_EQ(format_duration(125), "2 min 5 s");
  EXPECT_EQ(format_duration(11520), "3 h 12 min");
  EXPECT_EQ(format_duration(3599.7), "1 h 0 min");
  EXPECT_EQ(format_duration(86400 * 3 + 7200), "3 d 2 h");
  EXPECT_EQ(format_duration(-1), "unknown");
}

TEST(Human, TheNearestNameIsSuggestedWhenNearEnough) {
  const std::vector<std::string> known{"steps", "seed", "learning_rate", "batch", "f32"};
  EXPECT_EQ(nearest_name("stpes", known), "steps");
  EXPECT_EQ(nearest_name("sed", known), "seed");
  EXPECT_EQ(nearest_name("learning-rate", known), "learning_rate");
  EXPECT_EQ(nearest_name("batch", known), "batch");
  EXPECT_EQ(nearest_name("batchwise", known), "batch");
  EXPECT_EQ(nearest_name("learning", known), "learning_rate");
  EXPECT_EQ(nearest_name("--mem", std::vector<std::string>{"--temp", "--memory"}), "--memory");
  EXPECT_EQ(nearest_name("wavelength", known), std::nullopt);
  EXPECT_EQ(nearest_name("", known), std::nullopt);
  EXPECT_EQ(nearest_name(std::string(1 << 20, 'a'), known), std::nullopt);
  EXPECT_EQ(nearest_name("x", std::vector<std::string>{}), std::nullopt);
}

}  // namespace
}  // namespace martlet
