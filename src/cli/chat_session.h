#pragma once

// A conversation with a model: its messages, and the next reply.

#include <functional>
#include <string>
#include <string_view>

#include "infer/language_model.h"
#include "text/chat_template.h"

namespace martlet::cli {

struct ReplyStatistics {
  int64_t prompt_tokens = 0;
  int64_t new_tokens = 0;
  double first_token_seconds = 0;  ///< reading the prompt included
  double decode_seconds = 0;       ///< from the first token to the last
  bool stopped = false;            ///< by a person

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
  /// character. An interruption ends the reply, not the conversation. When it throws, the messages are as
  /// before.
  ReplyStatistics reply(const infer::GenerationOptions& options,
                        const std::function<void(std::string_view)>& show);
  /// Takes back the last message when it is from `role`; false when it is not.
  bool take_back(std::string_view role);

  /// [{role, content}].
  const Json& messages() const { return messages_; }
  /// Throws kBadInput unless it is a list of tables with role and content.
  void set_messages(Json messages, const std::string& where);

 private:
  void add(std::string_view role, std::string_view content);

  const infer::LanguageModel& model_;
  text::ChatFormat format_;
  Json messages_{Json::Array{}};
};

}  // namespace martlet::cli
