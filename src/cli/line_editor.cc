#include "cli/line_editor.h"

#include <clocale>
#include <cstdio>
#include <filesystem>
#include <histedit.h>
#include <optional>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "cli/standard_input.h"
#include "cli/terminal.h"
#include "cli/terminal_input.h"

namespace martlet::cli {
namespace {

constexpr int kRememberedMessages = 1000;
// Stands for a newline within a line: U+2424, SYMBOL FOR NEWLINE. libedit takes a newline itself as the end.
constexpr std::string_view kNewlineSign = "\u2424";
// The key that inserts what was pasted; nobody has Ctrl-_ bound to anything here.
constexpr wchar_t kPasteKey = 0x1f;
constexpr const char* kFence = "\"\"\"";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

}  // namespace

struct LineEditor::Terminal {
  EditLine* editor = nullptr;
  History* history = nullptr;
  HistEvent event{};
  std::string file;
  std::string prompt;
  std::string paste;
  std::optional<TerminalInput> input;  // while a line is read
  winsize size{};

  static Terminal& of(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return *static_cast<Terminal*>(self);
  }
  static char* give_prompt(EditLine* editor) { return of(editor).prompt.data(); }

  /// libedit's own reading passes over an interruption, and knows nothing of pasting.
  static int give_character(EditLine* editor, wchar_t* character) {
    Terminal& self = of(editor);
    winsize now{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &now) == 0 &&
        (now.ws_col != self.size.ws_col || now.ws_row != self.size.ws_row)) {
      self.size = now;
      el_resize(editor);
    }
    switch (self.input->next(*character, self.paste)) {
      case TerminalInput::Outcome::kCharacter:
        return 1;
      case TerminalInput::Outcome::kPaste:
        *character = kPasteKey;
        return 1;
      case TerminalInput::Outcome::kInterrupted:
        return -1;
      case TerminalInput::Outcome::kEnd:
        return 0;
    }
    return 0;
  }

  static unsigned char insert_paste(EditLine* editor, int) {
    Terminal& self = of(editor);
    const std::string text = replaced(std::move(self.paste), "\n", kNewlineSign);
    self.paste.clear();
    return text.empty() || el_insertstr(editor, text.c_str()) != 0 ? CC_NORM : CC_REFRESH;
  }

  explicit Terminal(std::string history_file) : file(std::move(history_file)) {
    // libedit counts characters by the locale's encoding.
    if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) std::setlocale(LC_CTYPE, "");
    history = history_init();
    ::history(history, &event, H_SETSIZE, kRememberedMessages);
    ::history(history, &event, H_SETUNIQUE, 1);
    ::history(history, &event, H_LOAD, file.c_str());
    editor = el_init("martlet", stdin, stdout, stderr);
    el_set(editor, EL_CLIENTDATA, this);
    el_set(editor, EL_PROMPT, give_prompt);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_HIST, ::history, history);
    el_set(editor, EL_GETCFN, give_character);
    el_set(editor, EL_ADDFN, "insert-paste", "Insert what was pasted", insert_paste);
    el_set(editor, EL_BIND, "^_", "insert-paste", nullptr);
    el_set(editor, EL_BIND, "^I", "ed-insert", nullptr);
    el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
  }
  ~Terminal() {
    el_end(editor);
    history_end(history);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
};

LineEditor::LineEditor(std::string history_file) {
  if (stdin_is_terminal() && stdout_is_terminal())
    terminal_ = std::make_unique<Terminal>(std::move(history_file));
}

LineEditor::~LineEditor() = default;

LineEditor::Outcome LineEditor::read(const std::string& prompt, std::string& line) {
  line.clear();
  if (terminal_ == nullptr) return read_plain(line);
  terminal_->prompt = prompt;
  terminal_->input.emplace();
  el_set(terminal_->editor, EL_PREP_TERM, 1);  // before the prompt invites to type
  int length = 0;
  const char* text = el_gets(terminal_->editor, &length);
  terminal_->input.reset();
  // Ctrl-C just after Enter belongs to what the line starts.
  if (text == nullptr && interrupt_requested()) {
    clear_interrupt();
    el_reset(terminal_->editor);
    std::puts("^C");
    return Outcome::kInterrupted;
  }
  if (text == nullptr || length <= 0) {
    std::puts("");
    return Outcome::kEnd;
  }
  line = replaced(std::string(text, static_cast<size_t>(length)), kNewlineSign, "\n");
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  return Outcome::kLine;
}

LineEditor::Outcome LineEditor::read_plain(std::string& line) {
  while (true) {
    const size_t end = unread_.find('\n');
    if (end != std::string::npos || (input_ended_ && !unread_.empty())) {
      line = unread_.substr(0, end);
      unread_.erase(0, end == std::string::npos ? end : end + 1);
      if (line.ends_with('\r')) line.pop_back();
      return Outcome::kLine;
    }
    if (input_ended_) return Outcome::kEnd;
    const InputState state = read_some_input(unread_);
    if (state == InputState::kInterrupted) {
      clear_interrupt();
      return Outcome::kInterrupted;
    }
    input_ended_ = state == InputState::kEnd;
  }
}

void LineEditor::remember(const std::string& message) {
  if (terminal_ == nullptr || message.empty()) return;
  ::history(terminal_->history, &terminal_->event, H_ENTER, replaced(message, "\n", kNewlineSign).c_str());
  // At once: a session may end in ways that leave no time for it.
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(terminal_->file).parent_path(), ignored);
  ::history(terminal_->history, &terminal_->event, H_SAVE, terminal_->file.c_str());
}

LineEditor::Outcome LineEditor::read_message(const std::string& prompt, std::string& message) {
  message.clear();
  const Outcome outcome = read(prompt, message);
  if (outcome != Outcome::kLine) return outcome;
  if (read_rest(message) == Outcome::kInterrupted) return Outcome::kInterrupted;
  remember(message);
  return Outcome::kLine;
}

/// Goes on where the first line says that there is more. The end of the input ends the message too.
LineEditor::Outcome LineEditor::read_rest(std::string& message) {
  const std::string more = "... ";
  std::string line;
  Outcome outcome = Outcome::kLine;
  if (message.starts_with(kFence)) {
    message.erase(0, 3);
    bool first = true;
    while (!message.ends_with(kFence)) {
      outcome = read(more, line);
      if (outcome != Outcome::kLine) return outcome;
      if (!first || !message.empty()) message += '\n';
      first = false;
      message += line;
    }
    message.resize(message.size() - 3);
    if (message.ends_with('\n')) message.pop_back();
    return outcome;
  }
  while (message.ends_with('\\') && outcome == Outcome::kLine) {
    outcome = read(more, line);
    message.back() = '\n';
    if (outcome == Outcome::kLine) message += line;
  }
  if (outcome == Outcome::kEnd && message.ends_with('\n')) message.pop_back();
  return outcome;
}

}  // namespace martlet::cli
