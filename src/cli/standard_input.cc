#include "cli/standard_input.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <poll.h>
#include <unistd.h>

#include "base/error.h"
#include "base/interrupt.h"

namespace martlet::cli {
namespace {

/// True when there is something to read, if only the end. An interruption that comes between the look at the
/// request and the wait ends it too.
bool wait_for_input(int timeout_milliseconds) {
  sigset_t interrupt, before;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, &before);
  int count = -1;
  if (!interrupt_requested()) {
    pollfd waiting{STDIN_FILENO, POLLIN, 0};
    const timespec limit{timeout_milliseconds / 1000, timeout_milliseconds % 1000 * 1000000L};
    count = ppoll(&waiting, 1, timeout_milliseconds < 0 ? nullptr : &limit, &before);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return count > 0;
}

}  // namespace

InputState read_some_input(std::string& bytes, int timeout_milliseconds) {
  const bool ready = wait_for_input(timeout_milliseconds);
  if (interrupt_requested()) return InputState::kInterrupted;
  if (!ready) return InputState::kMore;
  char buffer[1 << 16];
  const ssize_t got = ::read(STDIN_FILENO, buffer, sizeof buffer);
  if (got < 0 && errno == EINTR) return InputState::kMore;
  if (got < 0) bad_input("standard input cannot be read: {}", std::strerror(errno));
  if (got == 0) return InputState::kEnd;
  bytes.append(buffer, static_cast<size_t>(got));
  return InputState::kMore;
}

}  // namespace martlet::cli
