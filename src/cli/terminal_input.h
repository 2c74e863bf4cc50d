#pragma once

// Bytes of a terminal as characters for the line editor. Text that is pasted (between the marks of bracketed
// paste) comes out as one piece, so that its newlines send nothing.

#include <string>
#include <string_view>

namespace martlet::cli {

class TerminalInput {
 public:
  /// Asks the terminal on standard output to mark what is pasted, for as long as this lives.
  TerminalInput();
  ~TerminalInput();
  TerminalInput(const TerminalInput&) = delete;
  TerminalInput& operator=(const TerminalInput&) = delete;

  enum class Outcome { kCharacter, kPaste, kInterrupted, kEnd };
  /// The next character, or a paste as UTF-8 with "\n" between its lines and no other control characters but
  /// tabs. Waits. On an interruption what was typed ahead is dropped; the request is not cleared.
  Outcome next(wchar_t& character, std::string& paste);

 private:
  bool begins_paste();
  Outcome read_paste(std::string& paste);

  std::string bytes_;  // read and not yet given
};

/// `text` as TerminalInput gives a paste: "\r\n" and "\r" become "\n", other control characters go.
std::string cleaned_paste(std::string_view text);

}  // namespace martlet::cli
