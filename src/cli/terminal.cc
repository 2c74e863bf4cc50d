#include "cli/terminal.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/human.h"

namespace martlet::cli {
namespace {

using Clock = std::chrono::steady_clock;

/// One line that redraws itself at most ten times a second.
class ProgressBar : public Progress {
 public:
  ~ProgressBar() override { finish(); }

  void start(std::string_view what, uint64_t total, std::string_view unit) override {
    finish();
    what_ = what;
    unit_ = unit;
    total_ = total;
    done_ = first_ = 0;
    began_ = Clock::now();
    active_ = true;
    draw();
  }

  void advance(uint64_t done_now) override {
    // What was there before the work began (a resumed file) is no part of the speed.
    if (done_ == 0) first_ = done_now;
    done_ = done_now;
    if (active_ && Clock::now() - drawn_ > std::chrono::milliseconds(100)) draw();
  }

  void finish() override {
    if (!active_) return;
    draw();
    std::fputc('\n', stderr);
    active_ = false;
  }

 private:
  std::string amount(uint64_t value) const {
    return unit_ == "B" ? format_bytes(value) : fmt::format("{} {}", value, unit_);
  }

  void draw() {
    drawn_ = Clock::now();
    const double seconds = std::chrono::duration<double>(drawn_ - began_).count();
    std::string right = amount(done_);
    if (total_ > 0) right = fmt::format("{} of {}", right, amount(total_));
    if (unit_ == "B" && seconds > 0.5 && done_ > first_)
      right += fmt::format(
          ", {}/s", format_bytes(static_cast<uint64_t>(static_cast<double>(done_ - first_) / seconds)));
    std::string bar;
    if (total_ > 0) {
      const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
      const int filled = static_cast<int>(share * kBarWidth);
      bar = fmt::format("[{}{}] ", std::string(static_cast<size_t>(filled), '#'),
                        std::string(static_cast<size_t>(kBarWidth - filled), '.'));
    }
    std::string line = fmt::format("{} {}{}", what_, bar, right);
    if (const auto width = static_cast<size_t>(terminal_width()) - 1; line.size() > width) line.resize(width);
    // Return to the first column, erase the line, write.
    std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
    std::fflush(stderr);
  }

  static constexpr int kBarWidth = 24;
  std::string what_, unit_;
  uint64_t total_ = 0, done_ = 0, first_ = 0;
  Clock::time_point began_, drawn_;
  bool active_ = false;
};

class Silence : public Progress {
 public:
  void start(std::string_view, uint64_t, std::string_view) override {}
  void advance(uint64_t) override {}
  void finish() override {}
};

std::string_view code(Style style) {
  switch (style) {
    case Style::kBold:
      return "1";
    case Style::kDim:
      return "2";
    case Style::kGreen:
      return "32";
    case Style::kCyan:
      return "36";
    case Style::kRed:
      return "31";
  }
  return "0";
}

}  // namespace

bool stdout_is_terminal() {
  return isatty(STDOUT_FILENO) == 1;
}
bool stderr_is_terminal() {
  return isatty(STDERR_FILENO) == 1;
}
bool stdin_is_terminal() {
  return isatty(STDIN_FILENO) == 1;
}

int terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
  return size.ws_col;
}

bool wants_colours() {
  // https://no-color.org: set and not empty, whatever it says.
  const char* refused = std::getenv("NO_COLOR");
  if (refused != nullptr && *refused != '\0') return false;
  const char* kind = std::getenv("TERM");
  return stdout_is_terminal() && (kind == nullptr || std::string_view(kind) != "dumb");
}

bool terminal_shows_unicode() {
  const char* kind = std::getenv("TERM");
  if (kind != nullptr && std::string_view(kind) == "dumb") return false;
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    std::string locale = value;
    std::transform(locale.begin(), locale.end(), locale.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  }
  return false;
}

std::string styled(Style style, std::string_view text) {
  if (!wants_colours()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", code(style), text);
}

std::unique_ptr<Progress> make_progress() {
  if (stderr_is_terminal()) return std::make_unique<ProgressBar>();
  return std::make_unique<Silence>();
}

}  // namespace martlet::cli
