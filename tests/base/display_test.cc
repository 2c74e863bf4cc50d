#include "base/display.h"

#include <gtest/gtest.h>

namespace martlet {
namespace {

TEST(OneLine, HoldsNothingThatATerminalOrAParserWouldObey) {
  EXPECT_EQ(one_line("a\x1b[31mb\nc\td"), "a\uFFFD[31mb c d");
  EXPECT_EQ(one_line("\xff中文\u202Eabc"), "\uFFFD中文\uFFFDabc");
}

TEST(Fitted, CutsByColumnsAndNotByBytes) {
  EXPECT_EQ(text_columns("损失 a"), 6);
  EXPECT_EQ(fitted("损失曲线", 8, true), "损失曲线");
  EXPECT_EQ(fitted("损失曲线", 7, true), "损失曲…");
  EXPECT_EQ(fitted("损失曲线", 6, true), "损失…");
  EXPECT_EQ(fitted("a curve of losses", 8, false), "a cur...");
}

}  // namespace
}  // namespace martlet
