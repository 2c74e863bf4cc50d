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
    : model_(model),
      format_(std::move(format)),
      context_(model.tree().shape().layers, model.tree().shape().lead_positions) {
  format_.choose(false);  // says at once when the model cannot chat
  model_.tokenizer();
}

void ChatSession::add(std::string_view role, std::string_view content) {
  Json message;
  message.set("role", role);
  message.set("content", content);
  messages_.push_back(std::move(message));
}

bool ChatSession::has_system() const {
  const Json::Array& list = messages_.array();
  return !list.empty() && is_from(list.front(), "system");
}

void ChatSession::set_system(std::string_view text) {
  Json::Array& list = messages_.array();
  if (has_system()) {
    list.erase(list.begin());
    if (first_seen_ > 0) --first_seen_;
  }
  if (text.empty()) return;
  add("system", text);
  std::rotate(list.begin(), list.end() - 1, list.end());
  if (first_seen_ > 0) ++first_seen_;
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
  first_seen_ = 0;
}

void ChatSession::clear() {
  Json::Array& list = messages_.array();
  list.resize(has_system() ? 1 : 0);
  first_seen_ = 0;
}

std::vector<int32_t> ChatSession::prompt_from(size_t first) const {
  Json seen{Json::Array{}};
  for (size_t i = 0; i < messages_.array().size(); ++i)
    if (i >= first || (i == 0 && has_system())) seen.push_back(messages_.array()[i]);
  Json request;
  request.set("messages", std::move(seen));
  // The template has written the special tokens already.
  return model_.tokenizer().encode(render_request(format_, request, "the conversation"),
                                   {.add_special_tokens = false});
}

std::vector<int32_t> ChatSession::fitting_prompt() {
  std::vector<int32_t> ids = prompt_from(first_seen_);
  const int64_t limit = model_.tree().shape().max_positions;
  const auto size = [&] { return static_cast<int64_t>(ids.size()); };
  // A reply needs room too.
  if (limit <= 0 || size() <= limit - limit / 8) return ids;
  const Json::Array& list = messages_.array();
  for (size_t next = std::max<size_t>(first_seen_, has_system() ? 1 : 0) + 1; next < list.size(); ++next) {
    if (!is_from(list[next], "user")) continue;
    ids = prompt_from(next);
    first_seen_ = next;
    if (size() <= limit / 2) return ids;
  }
  if (size() >= limit)
    bad_input("the message has {} tokens and the model's context {}; make it shorter", size(), limit);
  return ids;
}

ReplyStatistics ChatSession::reply(const ReplyOptions& options,
                                   const std::function<void(std::string_view)>& show) {
  ReplyStatistics statistics;
  const size_t seen_before = first_seen_;
  const std::vector<int32_t> ids = fitting_prompt();
  statistics.left_out = static_cast<int64_t>(first_seen_ - seen_before);
  if (statistics.left_out > 0 && seen_before == 0 && has_system()) --statistics.left_out;
  statistics.prompt_tokens = static_cast<int64_t>(ids.size());
  statistics.reused_tokens = infer::reusable_ids(model_.tree(), context_, ids);
  std::string text;
  const Clock::time_point begin = Clock::now();
  Clock::time_point first = begin, last = begin;
  try {
    const infer::Reply reply = infer::generate_text_on(
        model_, context_, ids, options.generation, options.stop_texts, [&](size_t, std::string_view piece) {
          last = Clock::now();
          if (statistics.new_tokens++ == 0) first = last;
          text += piece;
          if (!piece.empty()) show(piece);
          return true;
        });
    statistics.new_tokens = static_cast<int64_t>(reply.ids.size());
    statistics.finish = reply.finish;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted) throw;
    clear_interrupt();
    statistics.interrupted = true;
    statistics.finish = infer::Finish::kStopped;
  }
  statistics.first_token_seconds = seconds_between(begin, first);
  statistics.decode_seconds = seconds_between(first, last);
  add("assistant", text);
  return statistics;
}

}  // namespace martlet::cli
