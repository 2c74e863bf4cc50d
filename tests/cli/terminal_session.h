#pragma once

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace martlet::cli {

/// A program on a pseudo-terminal of its own.
class Session {
 public:
  /// In `folder`, where one is named. `patience`: how long it may take to say what is waited for.
  explicit Session(const std::vector<std::string>& words, const std::string& folder = "",
                   std::chrono::seconds patience = std::chrono::seconds(20))
      : patience_(patience) {
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
      if (!folder.empty() && chdir(folder.c_str()) != 0) _exit(126);
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
    const auto end = std::chrono::steady_clock::now() + patience_;
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
    const auto end = std::chrono::steady_clock::now() + patience_;
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

  std::chrono::seconds patience_;
  int master_ = -1;
  pid_t child_ = -1;
  std::string all_;
  size_t seen_ = 0;
};

}  // namespace martlet::cli
