#include "infer/stop_texts.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace martlet::infer {

StopTexts::StopTexts(std::vector<std::string> texts) : texts_(std::move(texts)) {
  for (const std::string& text : texts_)
    if (text.empty())
      fail(ErrorCode::kUsage, "a stop text must not be empty: it would stop every reply at once");
}

std::string StopTexts::add(std::string_view piece) {
  if (stopped_) return "";
  held_ += piece;
  // The one that ends first; among those the one that begins first.
  size_t end = std::string::npos, begin = std::string::npos;
  for (const std::string& text : texts_) {
    const size_t at = held_.find(text);
    if (at == std::string::npos) continue;
    const size_t after = at + text.size();
    if (after < end || (after == end && at < begin)) {
      end = after;
      begin = at;
    }
  }
  if (end != std::string::npos) {
    stopped_ = true;
    held_.resize(begin);
    return std::exchange(held_, {});
  }
  // The longest end of the text that is the beginning of a stop text stays.
  size_t kept = 0;
  for (const std::string& text : texts_)
    for (size_t size = std::min(text.size() - 1, held_.size()); size > kept; --size)
      if (std::string_view(held_).ends_with(std::string_view(text).substr(0, size))) kept = size;
  std::string shown = held_.substr(0, held_.size() - kept);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopTexts::finish() {
  return std::exchange(held_, {});
}

}  // namespace martlet::infer
