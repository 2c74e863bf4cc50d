#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "base/expect_error.h"
#include "base/interrupt.h"
#include "base/progress.h"

namespace martlet {
namespace {

TEST(Log, IsSilentUnlessALevelIsChosen) {
  testing::internal::CaptureStderr();
  log::warning("nobody asked");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Log, WritesTheChosenLevelAndAbove) {
  testing::internal::CaptureStderr();
  log::set_level(log::Level::kInfo);
  log::debug("too fine {}", 1);
  log::info("{} of {} {{}}", 2, 3);
  log::warning("careful");
  log::set_level(log::Level::kOff);
  log::warning("over");
  const std::string written = testing::internal::GetCapturedStderr();
  EXPECT_THAT(written, testing::HasSubstr("info: 2 of 3 {}\n"));
  EXPECT_THAT(written, testing::HasSubstr("warning: careful\n"));
  EXPECT_THAT(written, testing::Not(testing::HasSubstr("too fine")));
  EXPECT_THAT(written, testing::Not(testing::HasSubstr("over")));
}

TEST(Interrupt, StopsWorkUntilCleared) {
  EXPECT_NO_THROW(throw_if_interrupted());
  request_interrupt();
  EXPECT_TRUE(interrupt_requested());
  error_of(ErrorCode::kInterrupted, [] { throw_if_interrupted(); });
  clear_interrupt();
  EXPECT_NO_THROW(throw_if_interrupted());
}

TEST(Progress, NowhereTakesEverything) {
  no_progress().start("work", 0, "B");
  no_progress().advance(1);
  no_progress().finish();
}

TEST(Error, PutsItsContextBeforeTheMessage) {
  Error error(ErrorCode::kBadInput, "header is cut");
  EXPECT_STREQ(error.within("model.safetensors").what(), "model.safetensors: header is cut");
  EXPECT_EQ(error.code(), ErrorCode::kBadInput);
}

}  // namespace
}  // namespace martlet
