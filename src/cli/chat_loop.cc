#include "cli/chat_loop.h"

#include <cstdio>
#include <cstdlib>

#include "base/error.h"
#include "base/human.h"
#include "cli/chat_commands.h"
#include "cli/line_editor.h"
#include "cli/store.h"
#include "cli/terminal.h"

namespace martlet::cli {
namespace {

void note(std::string_view text) {
  fmt::print("{}\n", styled(Style::kDim, text));
}

/// One message or command; false when the conversation ends.
bool take(ChatState& state, const std::string& message) {
  if (message.front() == '/' && message.find('\n') == std::string::npos)
    return run_chat_command(state, message);
  state.session.say(message);
  try {
    state.last = show_reply(state.session, state.options);
  } catch (const Error&) {
    state.session.take_back("user");
    throw;
  }
  return true;
}

}  // namespace

void chat_loop(ChatSession& session, ReplyOptions options) {
  ChatState state{session, std::move(options), {}};
  LineEditor editor(store_root() + "/../chat_history");
  const bool person = stdin_is_terminal() && stdout_is_terminal();
  if (person) note("/help lists the commands; Ctrl-C stops a reply, Ctrl-D ends.");
  std::string message;
  while (true) {
    const LineEditor::Outcome outcome = editor.read_message("> ", message);
    if (outcome == LineEditor::Outcome::kEnd) return;
    if (outcome == LineEditor::Outcome::kInterrupted) {
      if (!person) fail(ErrorCode::kInterrupted, "interrupted");
      note("Ctrl-D or /quit ends the conversation.");
      continue;
    }
    if (message.find_first_not_of(" \t\n") == std::string::npos) continue;
    try {
      if (!take(state, message)) return;
    } catch (const Error& error) {
      // One thing that failed does not end a conversation with a person; a script must know.
      if (!person) throw;
      fmt::print("{}\n", styled(Style::kRed, error.what()));
    }
    std::fflush(stdout);
  }
}

ReplyStatistics show_reply(ChatSession& session, const ReplyOptions& options) {
  const bool person = stdout_is_terminal();
  const ReplyStatistics statistics = session.reply(options, [](std::string_view piece) {
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
  });
  fmt::print("\n");
  if (person && statistics.interrupted) note("(stopped)");
  if (person && statistics.finish == infer::Finish::kLength)
    note(statistics.new_tokens >= options.generation.max_new_tokens
             ? fmt::format("(cut at {} tokens; /set tokens N allows more)", statistics.new_tokens)
             : "(cut: the model's context is full; /clear begins anew)");
  if (person && statistics.left_out > 0)
    note(fmt::format("(the oldest {} messages no longer fit the model's context and were left out)",
                     statistics.left_out));
  std::fflush(stdout);
  return statistics;
}

}  // namespace martlet::cli
