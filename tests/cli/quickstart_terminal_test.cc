// `quickstart` before a person: the menu, the conversation after training, and Ctrl-C while it trains.

#include <filesystem>
#include <gmock/gmock.h>

#include "base/files.h"
#include "scratch.h"
#include "terminal_session.h"
#include "train/checkpoint.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;

// A tokenizer is trained on the way, beside whatever else this machine does.
constexpr auto kLong = std::chrono::seconds(120);

class QuickstartTerminal : public ::testing::Test {
 protected:
  QuickstartTerminal() { setenv("MARTLET_RUNS", (scratch_.path() + "/runs.db").c_str(), 1); }
  ~QuickstartTerminal() override { unsetenv("MARTLET_RUNS"); }

  static std::vector<std::string> words(const std::vector<std::string>& more) {
    std::vector<std::string> all{MARTLET_PROGRAM, "quickstart"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static std::vector<std::string> training(const std::string& steps) {
    return words({"train", "--steps", steps, "--people", "8", "--questions", "2", "--model",
                  "hidden=32,layers=1,heads=2,tied=true,context=512", "--threads", "1"});
  }
  bool exists(const std::string& name) const { return name_exists(scratch_.path() + "/" + name); }

  Scratch scratch_;
};

TEST_F(QuickstartTerminal, TheMenuLeavesOnCtrlCAndAtTheEnd) {
  for (const auto& [keys, code] : {std::pair{"\x03", 130}, std::pair{"\x04", 0}}) {
    Session session(words({}), scratch_.path());
    ASSERT_TRUE(session.wait_for("1 or 2? "));
    session.type(keys);
    EXPECT_EQ(session.finish(), code);
  }
  EXPECT_FALSE(exists("first-model"));
}

TEST_F(QuickstartTerminal, TheMenusTwoTrainsAndCtrlCFinishesTheStepAndSaves) {
  Session session(words({}), scratch_.path(), kLong);
  ASSERT_TRUE(session.wait_for("1 or 2? "));
  session.type("2\r");
  ASSERT_TRUE(session.wait_for("tokens/s"));
  session.type("\x03");
  ASSERT_TRUE(
      session.wait_for("and saved; --resume goes on: martlet quickstart train --resume --out first-model"));
  EXPECT_EQ(session.finish(), 130);
  const std::vector<train::CheckpointInfo> saved = train::checkpoints_of(scratch_.path() + "/first-model");
  ASSERT_EQ(saved.size(), 1u);
  EXPECT_THAT(session.all(), HasSubstr("stopped after step " + std::to_string(saved[0].step) + " of 2400"));
  EXPECT_FALSE(exists("first-model/config.json")) << "no half model under its name";
}

TEST_F(QuickstartTerminal, AfterTrainingItTalksWithAPerson) {
  Session session(training("6"), scratch_.path(), kLong);
  ASSERT_TRUE(session.wait_for("Now you;"));
  ASSERT_TRUE(session.wait_for("Ctrl-C stops a reply, Ctrl-D ends."));
  ASSERT_TRUE(session.wait_for("> "));
  session.type("Where does Linda live?\r");
  ASSERT_TRUE(session.wait_for("Linda live?\r\n"));
  ASSERT_TRUE(session.wait_for("> "));
  session.type("half a line\x03");
  ASSERT_TRUE(session.wait_for("Ctrl-D or /quit"));
  ASSERT_TRUE(session.wait_for("> "));
  session.type("\x04");
  EXPECT_EQ(session.finish(), 0);
  EXPECT_TRUE(exists("first-model/model.safetensors"));
}

}  // namespace
}  // namespace martlet::cli
