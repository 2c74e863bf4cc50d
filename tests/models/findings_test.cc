#include "models/findings.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace martlet::models {
namespace {

TEST(Findings, LayersOfOneWeightTakeOnePlace) {
  Findings findings;
  for (const int layer : {2, 0, 1, 7, 5, 6, 30})
    findings.add("model.layers." + std::to_string(layer) + ".norm.weight");
  findings.add("lm_head.weight");
  EXPECT_EQ(findings.count(), 8u);
  EXPECT_EQ(findings.to_string(), "'model.layers.{0..2,5..7,30}.norm.weight' and 'lm_head.weight'");
}

TEST(Findings, ARemarkStandsWithItsNamesOnly) {
  Findings findings;
  findings.add("a.0.w", "one");
  findings.add("a.1.w", "two");
  findings.add("a.2.w", "one");
  EXPECT_EQ(findings.to_string(), "'a.{0,2}.w' (one) and 'a.1.w' (two)");
}

TEST(Findings, OnlyWholePartsWithoutPaddingAreNumbers) {
  Findings findings;
  for (const char* name : {"a.01.w", "a.1x.w", "a.9999999.w", "w2", "3", "4", ""}) findings.add(name);
  EXPECT_EQ(findings.to_string(), "'a.01.w', 'a.1x.w', 'a.9999999.w', 'w2', '{3..4}' and ''");
}

TEST(Findings, AHostileListIsBoundedAndFast) {
  Findings findings;
  const Philox random(1);
  for (uint64_t i = 0; i < 200'000; ++i)
    findings.add("n" + std::to_string(random.bits(i)) + "." + std::to_string(i % 1000) + ".w\n");
  EXPECT_EQ(findings.count(), 200'000u);
  EXPECT_LT(findings.to_string().size(), 10'000u);
  EXPECT_TRUE(findings.to_string().ends_with(" more"));
  EXPECT_EQ(findings.to_string().find('\n'), std::string::npos);
}

}  // namespace
}  // namespace martlet::models
