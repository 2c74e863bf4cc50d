#include "cli/terminal_input.h"

#include <cstdio>
#include <cwchar>

#include "cli/standard_input.h"

namespace martlet::cli {
namespace {

// Bracketed paste, xterm control sequences, section "Bracketed Paste Mode".
constexpr std::string_view kPasteOn = "\x1b[?2004h", kPasteOff = "\x1b[?2004l";
constexpr std::string_view kPasteBegin = "\x1b[200~", kPasteEnd = "\x1b[201~";
// The bytes of one key arrive together; a lone Escape is followed by nothing.
constexpr int kKeyMilliseconds = 20;

void send(std::string_view sequence) {
  std::fwrite(sequence.data(), 1, sequence.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

TerminalInput::TerminalInput() {
  send(kPasteOn);
}

TerminalInput::~TerminalInput() {
  send(kPasteOff);
}

bool TerminalInput::begins_paste() {
  if (bytes_.size() < kPasteBegin.size() && kPasteBegin.starts_with(bytes_))
    read_some_input(bytes_, kKeyMilliseconds);
  return bytes_.starts_with(kPasteBegin);
}

TerminalInput::Outcome TerminalInput::read_paste(std::string& paste) {
  bytes_.erase(0, kPasteBegin.size());
  while (true) {
    if (const size_t end = bytes_.find(kPasteEnd); end != std::string::npos) {
      paste = cleaned_paste(std::string_view(bytes_).substr(0, end));
      bytes_.erase(0, end + kPasteEnd.size());
      return Outcome::kPaste;
    }
    const InputState got = read_some_input(bytes_);
    if (got == InputState::kInterrupted) bytes_.clear();
    if (got != InputState::kMore) return got == InputState::kEnd ? Outcome::kEnd : Outcome::kInterrupted;
  }
}

TerminalInput::Outcome TerminalInput::next(wchar_t& character, std::string& paste) {
  while (true) {
    if (!bytes_.empty()) {
      if (bytes_.front() == '\x1b' && begins_paste()) return read_paste(paste);
      std::mbstate_t state{};
      const size_t size = std::mbrtowc(&character, bytes_.data(), bytes_.size(), &state);
      if (size == static_cast<size_t>(-1)) {
        character = L'\uFFFD';
        bytes_.erase(0, 1);
        return Outcome::kCharacter;
      }
      if (size != static_cast<size_t>(-2)) {  // a whole character; the zero byte has size 0
        bytes_.erase(0, size == 0 ? 1 : size);
        return Outcome::kCharacter;
      }
    }
    const InputState got = read_some_input(bytes_);
    if (got == InputState::kInterrupted) bytes_.clear();
    if (got != InputState::kMore) return got == InputState::kEnd ? Outcome::kEnd : Outcome::kInterrupted;
  }
}

std::string cleaned_paste(std::string_view text) {
  std::string clean;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '\r') {
      if (i + 1 == text.size() || text[i + 1] != '\n') clean += '\n';
    } else if (byte >= 0x20 || byte == '\n' || byte == '\t') {
      if (byte != 0x7f) clean += text[i];
    }
  }
  return clean;
}

}  // namespace martlet::cli
