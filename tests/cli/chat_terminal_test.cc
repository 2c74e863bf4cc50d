// `chat` on a terminal: a pseudo-terminal types what a person would.

#include <cstdlib>
#include <gmock/gmock.h>

#include "base/files.h"
#include "base/json.h"
#include "cli/terminal_input.h"
#include "scratch.h"
#include "support/chat_model.h"
#include "terminal_session.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ChatTerminal : public ::testing::Test {
 protected:
  std::vector<std::string> command(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words{MARTLET_PROGRAM, "chat", model_.path(), "-n", "8"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  /// The conversation that was saved at the end.
  Json::Array saved() const { return Json::parse_file(file()).array(); }
  std::string file() const { return scratch_.path() + "/talk.json"; }

  Scratch scratch_;
  testing::ChatModelDirectory model_{5, 512};
};

TEST_F(ChatTerminal, AConversationWithPastedAndContinuedLinesIsSaved) {
  Session session(command());
  ASSERT_TRUE(session.wait_for("> "));
  session.type("你好\r");
  ASSERT_TRUE(session.wait_for("> "));
  session.type("one \\\r");
  ASSERT_TRUE(session.wait_for("... "));
  session.type("two\r");
  ASSERT_TRUE(session.wait_for("> "));
  session.type("\x1b[200~first\rsecond\n\tthird\x1b[201~ and typed\r");
  ASSERT_TRUE(session.wait_for("> "));
  session.type("\"\"\"a\r");
  ASSERT_TRUE(session.wait_for("... "));
  session.type("b\"\"\"\r");
  ASSERT_TRUE(session.wait_for("> "));
  session.type("/save " + file() + "\r");
  ASSERT_TRUE(session.wait_for("messages written"));
  ASSERT_TRUE(session.wait_for("> "));
  session.type("\x04");  // Ctrl-D
  EXPECT_EQ(session.finish(), 0);
  const Json::Array messages = saved();
  ASSERT_EQ(messages.size(), 8u);
  EXPECT_EQ(messages[0].at("content").string(), "你好");
  EXPECT_EQ(messages[2].at("content").string(), "one \ntwo");
  EXPECT_EQ(messages[4].at("content").string(), "first\nsecond\n\tthird and typed");
  EXPECT_EQ(messages[6].at("content").string(), "a\nb");
}

TEST_F(ChatTerminal, CtrlCAtThePromptDropsTheLineAndHints) {
  Session session(command());
  ASSERT_TRUE(session.wait_for("> "));
  for (int times = 0; times < 3; ++times) {
    session.type("half a line");
    ASSERT_TRUE(session.wait_for("half a line"));
    session.type("\x03");
    ASSERT_TRUE(session.wait_for("Ctrl-D or /quit"));
    ASSERT_TRUE(session.wait_for("> "));
  }
  session.type("/quit\r");
  EXPECT_EQ(session.finish(), 0);
}

TEST_F(ChatTerminal, CtrlCStopsAReplyAndNotTheProgram) {
  Session session(command({"-n", "400", "--ignore-eos", "--temp", "1"}));
  ASSERT_TRUE(session.wait_for("> "));
  session.type("tell me all\r");
  ASSERT_TRUE(session.wait_for("tell me all\r\n"));
  session.type("\x03");
  ASSERT_TRUE(session.wait_for("(stopped)"));
  ASSERT_TRUE(session.wait_for("> "));
  session.type("/quit\r");
  EXPECT_EQ(session.finish(), 0);
}

TEST_F(ChatTerminal, HistoryOutlivesTheSession) {
  {
    Session session(command());
    ASSERT_TRUE(session.wait_for("> "));
    session.type("remember me\r");
    ASSERT_TRUE(session.wait_for("> "));
    session.type("\x04");
    EXPECT_EQ(session.finish(), 0);
  }
  Session session(command());
  ASSERT_TRUE(session.wait_for("> "));
  session.type("\x1b[A");  // arrow up
  EXPECT_TRUE(session.wait_for("remember me"));
}

TEST_F(ChatTerminal, ColoursStandOnATerminalUnlessRefused) {
  const auto output = [&] {
    Session session(command());
    EXPECT_TRUE(session.wait_for("> "));
    session.type("/nothing\r");
    EXPECT_TRUE(session.wait_for("no command"));
    EXPECT_TRUE(session.wait_for("> "));
    session.type("\x04");
    EXPECT_EQ(session.finish(), 0);
    return session.all();
  };
  EXPECT_THAT(output(), HasSubstr("\x1b[31m"));
  setenv("NO_COLOR", "1", 1);
  EXPECT_THAT(output(), Not(HasSubstr("\x1b[31m")));
  unsetenv("NO_COLOR");
}

TEST(CleanedPaste, KeepsTextAndItsLines) {
  EXPECT_EQ(cleaned_paste("a\r\nb\rc\n\td\x1b[31m\x7f\x03é"), "a\nb\nc\n\td[31mé");
}

}  // namespace
}  // namespace martlet::cli
