// `chat` on a terminal: a pseudo-terminal types what a person would.

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "base/json.h"
#include "cli/terminal_input.h"
#include "scratch.h"
#include "support/chat_model.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kPatience = std::chrono::seconds(20);

/// A program on a pseudo-terminal of its own.
class Session {
 public:
  explicit Session(const std::vector<std::string>& words) {
    master_ = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master_ < 0 || grantpt(master_) != 0 || unlockpt(master_) != 0)
      throw std::runtime_error("no terminal");
    const winsize size{40, 100, 0, 0};
    ioctl(master_, TIOCSWINSZ, &size);
    const std::string name = ptsname(master_);
    child_ = fork();
    if (child_ == 0) {
      setsid();
      const int slave = open(name.c_str(), O_RDWR);
      ioctl(slave, TIOCSCTTY, 0);
      for (int descriptor = 0; descriptor < 3; ++descriptor) dup2(slave, descriptor);
      setenv("TERM", "xterm", 1);
      std::vector<char*> pointers;
      for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
      pointers.push_back(nullptr);
      execv(pointers[0], pointers.data());
      _exit(127);
    }
  }
  ~Session() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    close(master_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void type(std::string_view keys) {
    ASSERT_EQ(::write(master_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }

  /// Waits until `text` has come `times` times since the last call; false when it does not.
  bool wait_for(std::string_view text, int times = 1) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    size_t at = seen_;
    while (true) {
      for (size_t found; times > 0 && (found = all_.find(text, at)) != std::string::npos; --times)
        at = found + text.size();
      if (times == 0) {
        seen_ = at;
        return true;
      }
      if (std::chrono::steady_clock::now() > end || !read_some()) {
        ADD_FAILURE() << "'" << text << "' did not come after "
                      << ::testing::PrintToString(all_.substr(seen_));
        return false;
      }
    }
  }
  /// The exit code, after all output.
  int finish() {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < end && read_some()) {
    }
    // Its end of the terminal is closed a moment before it has ended.
    siginfo_t ended{};
    while (std::chrono::steady_clock::now() < end &&
           waitid(P_PID, static_cast<id_t>(child_), &ended, WEXITED | WNOWAIT | WNOHANG) == 0 &&
           ended.si_pid == 0)
      usleep(1000);
    int status = 0;
    if (waitpid(child_, &status, WNOHANG) == 0) {  // it hangs: a failure, not a wait for ever
      kill(child_, SIGKILL);
      waitpid(child_, &status, 0);
    }
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  const std::string& all() const { return all_; }

 private:
  bool read_some() {
    pollfd waiting{master_, POLLIN, 0};
    if (poll(&waiting, 1, 200) <= 0) return true;
    char buffer[4096];
    const ssize_t got = ::read(master_, buffer, sizeof buffer);
    if (got <= 0) return false;
    all_.append(buffer, static_cast<size_t>(got));
    return true;
  }

  int master_ = -1;
  pid_t child_ = -1;
  std::string all_;
  size_t seen_ = 0;
};

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
