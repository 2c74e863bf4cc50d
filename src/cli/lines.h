#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace martlet::cli {

/// Standard input to its end. Throws kInterrupted when a person stops it.
std::string read_standard_input();
/// A file whole, or standard input for "-".
std::string read_input(const std::string& path);
/// The lines of a text, without their ends ("\n" or "\r\n"); a last empty one is left out.
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

/// Calls `take` with every line of a .jsonl text and its place, "prompts.jsonl:3"; empty lines are passed
/// over. Throws BadInput, naming the place, for a line that is no table.
void for_each_json_line(const std::string& text, const std::string& file,
                        const std::function<void(const Json& line, const std::string& where)>& take);

}  // namespace martlet::cli
