#pragma once

// A conversation with a model: its messages, and the next reply.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/generate_text.h"
#include "text/chat_template.h"

namespace martlet::cli {

struct ReplyOptions {
  infer::GenerationOptions generation;
  std::vector<std::string> stop_texts;
};

struct ReplyStatistics {
  int64_t prompt_tokens = 0;  ///< of the whole conversation as the model sees it
  int64_t reused_tokens = 0;  ///< of those, read in an earlier turn and not again
  int64_t new_tokens = 0;
  int64_t left_out = 0;            ///< messages that the context had no more room for, since this turn
  double first_token_seconds = 0;  ///< reading the prompt included
  double decode_seconds = 0;       ///< from the first token to the last
  bool interrupted = false;        ///< by a person
  infer::Finish finish = infer::Finish::kStop;

  /// Tokens a second after the first one; 0 when there was no second one.
  double tokens_per_second() const;
};

class ChatSession {
 public:
  /// `model` must outlive this.
  ChatSession(const infer::LanguageModel& model, text::ChatFormat format);

  /// Replaces the system message; an empty one takes it away.
  void set_system(std::string_view text);
  /// Adds what a person says.
  void say(std::string_view text);
  /// Generates the reply to the last message and adds it. `show` gets its text as it comes, never a part of a
  /// character. What earlier turns have read is not read again. When the conversation no longer fits the
  /// context, its oldest turns are left out of what the model sees (not of `messages`), until half of the
  /// context is free. An interruption ends the reply, not the conversation. When it throws, the messages are
  /// as before.
  ReplyStatistics reply(const ReplyOptions& options, const std::function<void(std::string_view)>& show);
  /// Takes back the last message when it is from `role`; false when it is not.
  bool take_back(std::string_view role);
  /// Forgets all but the system message.
  void clear();

  /// [{role, content}].
  const Json& messages() const { return messages_; }
  /// Throws kBadInput unless it is a list of tables with role and content.
  void set_messages(Json messages, const std::string& where);

 private:
  void add(std::string_view role, std::string_view content);
  bool has_system() const;
  /// The prompt without the messages [has_system(), first).
  std::vector<int32_t> prompt_from(size_t first) const;
  /// The prompt that fits; moves `first_seen_`.
  std::vector<int32_t> fitting_prompt();

  const infer::LanguageModel& model_;
  text::ChatFormat format_;
  infer::ReadContext context_;
  Json messages_{Json::Array{}};
  size_t first_seen_ = 0;  // messages before it, but for the system's, are left out
};

}  // namespace martlet::cli
