#include "cli/line_editor.h"

#include <clocale>
#include <cstdio>
#include <filesystem>
#include <histedit.h>
#include <iostream>

#include "base/interrupt.h"
#include "cli/terminal.h"

namespace martlet::cli {
namespace {

constexpr int kRememberedLines = 1000;

}  // namespace

struct LineEditor::Terminal {
  EditLine* editor = nullptr;
  History* history = nullptr;
  HistEvent event{};
  std::string file;
  std::string prompt;

  static char* give_prompt(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return static_cast<Terminal*>(self)->prompt.data();
  }

  explicit Terminal(std::string history_file) : file(std::move(history_file)) {
    // libedit counts characters by the locale's encoding.
    if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) std::setlocale(LC_CTYPE, "");
    history = history_init();
    ::history(history, &event, H_SETSIZE, kRememberedLines);
    ::history(history, &event, H_SETUNIQUE, 1);
    ::history(history, &event, H_LOAD, file.c_str());
    editor = el_init("martlet", stdin, stdout, stderr);
    el_set(editor, EL_CLIENTDATA, this);
    el_set(editor, EL_PROMPT, give_prompt);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_HIST, ::history, history);
  }
  ~Terminal() {
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path(), ignored);
    ::history(history, &event, H_SAVE, file.c_str());
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
  if (terminal_ == nullptr) {
    if (std::getline(std::cin, line)) return Outcome::kLine;
    if (!interrupt_requested()) return Outcome::kEnd;
    clear_interrupt();
    std::cin.clear();
    return Outcome::kInterrupted;
  }
  terminal_->prompt = prompt;
  int length = 0;
  const char* text = el_gets(terminal_->editor, &length);
  if (interrupt_requested()) {
    clear_interrupt();
    el_reset(terminal_->editor);
    std::puts("");
    return Outcome::kInterrupted;
  }
  if (text == nullptr || length <= 0) return Outcome::kEnd;
  line.assign(text, static_cast<size_t>(length));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  if (!line.empty()) ::history(terminal_->history, &terminal_->event, H_ENTER, line.c_str());
  return Outcome::kLine;
}

LineEditor::Outcome LineEditor::read_message(const std::string& prompt, std::string& message) {
  message.clear();
  std::string line;
  const std::string more = "... ";
  Outcome outcome = read(prompt, line);
  if (outcome != Outcome::kLine) return outcome;
  if (line == "\"\"\"") {
    while ((outcome = read(more, line)) == Outcome::kLine && line != "\"\"\"") message += line + "\n";
    if (!message.empty()) message.pop_back();
    return outcome == Outcome::kInterrupted ? outcome : Outcome::kLine;
  }
  while (!line.empty() && line.back() == '\\') {
    line.back() = '\n';
    message += line;
    outcome = read(more, line);
    if (outcome == Outcome::kInterrupted) return outcome;
    if (outcome == Outcome::kEnd) line.clear();
  }
  message += line;
  return Outcome::kLine;
}

}  // namespace martlet::cli
