#include "cli/chat_session.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/interrupt.h"
#include "cli/chat_format.h"

namespace martlet::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

bool is_from(const Json& message, std::string_view role) {
  return message.at("role").string() == role;
}

}  // namespace

double ReplyStatistics::tokens_per_second() const {
  return new_tokens > 1 && decode_seconds > 0 ? static_cast<double>(new_tokens - 1) / decode_seconds : 0;
}

ChatSession::ChatSession(const infer::LanguageModel& model, text::ChatFormat format)
    : model_(model), format_(std::move(format)) {
  format_.choose(false);  // says at once when the model cannot chat
}

void ChatSession::add(std::string_view role, std::string_view content) {
  Json message;
  message.set("role", role);
  message.set("content", content);
  messages_.push_back(std::move(message));
}

void ChatSession::set_system(std::string_view text) {
  Json::Array& list = messages_.array();
  if (!list.empty() && is_from(list.front(), "system")) list.erase(list.begin());
  if (text.empty()) return;
  add("system", text);
  std::rotate(list.begin(), list.end() - 1, list.end());
}

void ChatSession::say(std::string_view text) {
  add("user", text);
}

bool ChatSession::take_back(std::string_view role) {
  Json::Array& list = messages_.array();
  if (list.empty() || !is_from(list.back(), role)) return false;
  list.pop_back();
  return true;
}

void ChatSession::set_messages(Json messages, const std::string& where) {
  if (!messages.is_array()) bad_input("{}: expected a list of messages, got {}", where, messages.kind_name());
  for (const Json& message : messages.array()) {
    const Json* role = message.find("role");
    const Json* content = message.find("content");
    if (role == nullptr || !role->is_string() || content == nullptr)
      bad_input("{}: a message needs 'role' and 'content', got {}", where, message.dump());
  }
  messages_ = std::move(messages);
}

ReplyStatistics ChatSession::reply(const infer::GenerationOptions& options,
                                   const std::function<void(std::string_view)>& show) {
  Json request;
  request.set("messages", messages_);
  const std::string prompt = render_request(format_, request, "the conversation");
  // The template has written the special tokens already.
  const std::vector<int32_t> ids = model_.tokenizer().encode(prompt, {.add_special_tokens = false});
  ReplyStatistics statistics;
  statistics.prompt_tokens = static_cast<int64_t>(ids.size());
  text::StreamingDecoder decoder(model_.tokenizer(), {.skip_special_tokens = true});
  std::string text;
  const auto give = [&](const std::string& piece) {
    text += piece;
    if (!piece.empty()) show(piece);
  };
  const Clock::time_point begin = Clock::now();
  Clock::time_point first = begin, last = begin;
  try {
    infer::generate(model_.tree(), std::span(&ids, 1), options, [&](size_t, int32_t id) {
      last = Clock::now();
      if (statistics.new_tokens++ == 0) first = last;
      give(decoder.add(id));
      return true;
    });
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted) throw;
    clear_interrupt();
    statistics.stopped = true;
  }
  give(decoder.finish());
  statistics.first_token_seconds = seconds_between(begin, first);
  statistics.decode_seconds = seconds_between(first, last);
  add("assistant", text);
  return statistics;
}

}  // namespace martlet::cli
