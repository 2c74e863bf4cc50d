#pragma once

// What a person may ask of a conversation besides the next reply: /help, /system, /save, ...

#include <string>

#include "cli/chat_session.h"

namespace martlet::cli {

struct ChatState {
  ChatSession& session;
  ReplyOptions options;
  ReplyStatistics last = {};  ///< of the last reply
};

/// Runs one line that begins with '/'; false when the conversation ends. Throws Error, and changes nothing
/// then.
bool run_chat_command(ChatState& state, const std::string& line);

}  // namespace martlet::cli
