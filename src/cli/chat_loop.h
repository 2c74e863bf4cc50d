#pragma once

#include "cli/chat_session.h"

namespace martlet::cli {

/// Reads messages and commands from standard input until its end, and answers them.
void chat_loop(ChatSession& session, ReplyOptions options);

/// Streams the next reply to standard output, and what a person should know of how it ended.
ReplyStatistics show_reply(ChatSession& session, const ReplyOptions& options);

}  // namespace martlet::cli
