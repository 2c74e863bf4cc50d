#include "text/aligned_text.h"

#include <algorithm>

#include "base/utf8.h"

namespace martlet::text {

AlignedText::AlignedText(std::string_view from, uint32_t begin, bool track)
    : text(from), base(begin), tracked(track) {
  if (!tracked) return;
  origin.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const uint32_t length = character_length(text[at]);
    const Span span{base + static_cast<uint32_t>(at), base + static_cast<uint32_t>(at) + length};
    origin.insert(origin.end(), length, span);
    at += length;
  }
}

AlignedText::AlignedText(std::string_view from, const Span* spans, uint32_t begin, bool track)
    : AlignedText(from, begin, track && spans == nullptr) {
  tracked = track;
  if (track && spans != nullptr) origin.assign(spans, spans + from.size());
}

Rewriter::Rewriter(AlignedText& target) : target_(target) {
  text_.reserve(target.text.size() + 16);
  if (target.tracked) origin_.reserve(target.text.size() + 16);
}

Span Rewriter::before() const {
  if (at_ == 0 || target_.origin.empty()) return {target_.base, target_.base};
  return target_.origin[std::min(at_, target_.origin.size()) - 1];
}

void Rewriter::keep(size_t bytes) {
  text_.append(target_.text, at_, bytes);
  if (target_.tracked) {
    const auto from = target_.origin.begin() + static_cast<std::ptrdiff_t>(at_);
    origin_.insert(origin_.end(), from, from + static_cast<std::ptrdiff_t>(bytes));
  }
  at_ += bytes;
}

void Rewriter::put(char32_t c, int change) {
  Span span = before();
  if (change <= 0 && at_ < target_.text.size()) {
    if (target_.tracked) span = target_.origin[at_];
    for (int i = 0; i <= -change && at_ < target_.text.size(); ++i)
      at_ += character_length(target_.text[at_]);
  }
  const size_t size = text_.size();
  append_utf8(text_, c);
  if (target_.tracked) origin_.insert(origin_.end(), text_.size() - size, span);
}

void Rewriter::insert(std::string_view content) {
  text_.append(content);
  if (target_.tracked) origin_.insert(origin_.end(), content.size(), before());
}

void Rewriter::finish() {
  target_.text = std::move(text_);
  target_.origin = std::move(origin_);
}

}  // namespace martlet::text
