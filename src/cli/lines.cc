#include "cli/lines.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <unistd.h>

#include "base/error.h"

namespace martlet::cli {

std::string read_standard_input() {
  std::string text;
  char buffer[1 << 16];
  while (const size_t got = std::fread(buffer, 1, sizeof buffer, stdin)) text.append(buffer, got);
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    lines.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  return lines;
}

void LineBlocks::read_more() {
  constexpr size_t kBlock = size_t{1} << 20;
  const size_t before = buffer_.size();
  buffer_.resize(before + kBlock);
  ssize_t got = -1;
  do got = ::read(STDIN_FILENO, buffer_.data() + before, kBlock);
  while (got < 0 && errno == EINTR);
  if (got < 0) bad_input("standard input cannot be read: {}", std::strerror(errno));
  buffer_.resize(before + static_cast<size_t>(got));
  ended_ = got == 0;
}

bool LineBlocks::next(std::vector<std::string_view>& lines) {
  lines.clear();
  lines_before_ = lines_;
  buffer_.erase(0, used_);
  size_t end = std::string::npos;  // of the last whole line
  for (size_t searched = 0; end == std::string::npos;) {
    end = std::string_view(buffer_).substr(searched).rfind('\n');
    if (end != std::string::npos) {
      end += searched + 1;
    } else if (ended_) {
      end = buffer_.size();
    } else {
      searched = buffer_.size();
      read_more();
    }
  }
  used_ = end;
  for (size_t begin = 0; begin < end;) {
    const size_t line_end = std::min(buffer_.find('\n', begin), end);
    lines.push_back(std::string_view(buffer_).substr(begin, line_end - begin));
    begin = line_end + 1;
  }
  lines_ += lines.size();
  return !lines.empty();
}

}  // namespace martlet::cli
