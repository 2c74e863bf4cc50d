#include "cli/lines.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "cli/standard_input.h"

namespace martlet::cli {

std::string read_standard_input() {
  std::string text;
  while (read_some_input(text) == InputState::kMore) {
  }
  throw_if_interrupted();
  return text;
}

std::string read_input(const std::string& path) {
  return path == "-" ? read_standard_input() : read_file(path);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const bool carriage = end > begin && text[end - 1] == '\r';
    lines.push_back(text.substr(begin, end - begin - (carriage ? 1 : 0)));
    begin = end + 1;
  }
  return lines;
}

void LineBlocks::read_more() {
  constexpr size_t kBlock = size_t{1} << 20;
  const size_t enough = buffer_.size() + kBlock;
  InputState state = read_some_input(buffer_);
  // And what else has come already.
  for (size_t before = 0;
       state == InputState::kMore && before != buffer_.size() && buffer_.size() < enough;) {
    before = buffer_.size();
    state = read_some_input(buffer_, 0);
  }
  throw_if_interrupted();
  ended_ = state == InputState::kEnd;
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

void for_each_json_line(const std::string& text, const std::string& file,
                        const std::function<void(const Json& line, const std::string& where)>& take) {
  const std::vector<std::string> lines = lines_of(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].find_first_not_of(" \t") == std::string::npos) continue;
    const std::string where = fmt::format("{}:{}", file == "-" ? "standard input" : file, i + 1);
    const Json line = Json::parse(lines[i], where);
    if (!line.is_object()) bad_input("{}: expected a table, got {}", where, line.kind_name());
    take(line, where);
  }
}

}  // namespace martlet::cli
