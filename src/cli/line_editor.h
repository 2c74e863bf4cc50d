#pragma once

// Lines that a person types: edited and remembered on a terminal, plain otherwise.

#include <memory>
#include <string>

namespace martlet::cli {

class LineEditor {
 public:
  /// `history_file` keeps messages from one time to the next.
  explicit LineEditor(std::string history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Outcome { kLine, kInterrupted, kEnd };
  /// One line without its newline into `line`; pasted text of several lines is one line that holds newlines.
  /// kInterrupted: Ctrl-C was pressed, the request is cleared; `line` is empty.
  Outcome read(const std::string& prompt, std::string& line);
  /// One message: a line, lines that end with a backslash joined, or all from a line that begins with """ to
  /// one that ends with it.
  Outcome read_message(const std::string& prompt, std::string& message);

 private:
  struct Terminal;
  Outcome read_plain(std::string& line);
  Outcome read_rest(std::string& message);
  void remember(const std::string& message);

  std::unique_ptr<Terminal> terminal_;  // null when standard input or output is no terminal; then:
  std::string unread_;
  bool input_ended_ = false;
};

}  // namespace martlet::cli
