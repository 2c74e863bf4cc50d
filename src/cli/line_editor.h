#pragma once

// Lines that a person types: edited and remembered on a terminal, plain otherwise.

#include <memory>
#include <optional>
#include <string>

namespace martlet::cli {

class LineEditor {
 public:
  /// `history_file` keeps the lines from one time to the next; it is written when this is destroyed.
  explicit LineEditor(std::string history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Outcome { kLine, kInterrupted, kEnd };
  /// One line without its newline into `line`. kInterrupted: Ctrl-C was pressed, the request is cleared.
  Outcome read(const std::string& prompt, std::string& line);
  /// One message: a line, lines that end with a backslash joined, or everything between two lines of """.
  Outcome read_message(const std::string& prompt, std::string& message);

 private:
  struct Terminal;
  std::unique_ptr<Terminal> terminal_;  // null when standard input is no terminal
};

}  // namespace martlet::cli
