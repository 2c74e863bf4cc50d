#pragma once

#include "cli/chat_session.h"

namespace martlet::cli {

/// Talks with a person until the end of input or /quit; /help lists what else there is.
void chat_loop(ChatSession& session, infer::GenerationOptions options);

/// Shows a reply as it comes and returns its statistics.
ReplyStatistics show_reply(ChatSession& session, const infer::GenerationOptions& options);

}  // namespace martlet::cli
