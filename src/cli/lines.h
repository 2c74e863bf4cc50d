#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace martlet::cli {

/// Standard input to its end.
std::string read_standard_input();
/// The lines of a text, without their ends; a last empty one is left out.
std::vector<std::string> lines_of(const std::string& text);

/// The lines of standard input as they come, many at a time: whoever writes a line and waits gets its answer,
/// and a file of any length takes the memory of one block.
class LineBlocks {
 public:
  /// Takes what has come, up to about a megabyte, or one line where that is longer; waits for at least a
  /// line. False at the end. The lines are valid until the next call.
  bool next(std::vector<std::string_view>& lines);
  /// How many lines came before the last block.
  size_t lines_before() const { return lines_before_; }

 private:
  void read_more();

  std::string buffer_;
  size_t used_ = 0;  // bytes of it that the last block was
  size_t lines_ = 0;
  size_t lines_before_ = 0;
  bool ended_ = false;
};

}  // namespace martlet::cli
