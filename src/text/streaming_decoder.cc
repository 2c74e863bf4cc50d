#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

namespace martlet::text {

namespace {

// An incomplete character has at most three bytes, so it lies within the last three ids.
constexpr size_t kHeldBack = 3;
// After so many ids without certain text, what came first is given up as invalid.
constexpr size_t kLongestWait = 8;

}  // namespace

StreamingDecoder::StreamingDecoder(Tokenizer tokenizer, const DecodeOptions& options)
    : tokenizer_(std::move(tokenizer)),
      options_(options),
      by_bytes_(tokenizer_.parts_->decoders.size() == 1 &&
                tokenizer_.parts_->decoders.front()->is_byte_level()) {}

std::string StreamingDecoder::add(int32_t id) {
  if (options_.skip_special_tokens && tokenizer_.is_special(id)) return {};
  if (!tokenizer_.parts_->token_for_decoding(id)) return {};
  if (by_bytes_) return add_bytes(id);
  pending_.push_back(id);
  std::string text = text_after_context(pending_);
  if (!text.empty() && !text.ends_with("\xEF\xBF\xBD")) {
    move_context(pending_.size());
    return text;
  }
  if (pending_.size() < kLongestWait) return {};
  const size_t certain = pending_.size() - kHeldBack;
  text = text_after_context(std::span<const int32_t>(pending_).first(certain));
  move_context(certain);
  return text;
}

std::string StreamingDecoder::finish() {
  std::string text = by_bytes_          ? replace_invalid_utf8(bytes_)
                     : pending_.empty() ? std::string()
                                        : text_after_context(pending_);
  bytes_.clear();
  context_.clear();
  pending_.clear();
  return text;
}

std::string StreamingDecoder::add_bytes(int32_t id) {
  bytes_ += byte_level_bytes(*tokenizer_.parts_->token_for_decoding(id));
  const size_t complete = complete_utf8_prefix(bytes_);
  std::string text = replace_invalid_utf8(std::string_view(bytes_).substr(0, complete));
  bytes_.erase(0, complete);
  return text;
}

/// The text that `ids` add to that of the context: a decoder may treat the first token of all, or the last,
/// or neighbours in a special way, so both are decoded in full and compared.
std::string StreamingDecoder::text_after_context(std::span<const int32_t> ids) const {
  std::vector<int32_t> all = context_;
  all.insert(all.end(), ids.begin(), ids.end());
  const std::string before = tokenizer_.decode(context_, options_);
  std::string text = tokenizer_.decode(all, options_);
  if (text.starts_with(before)) return text.substr(before.size());
  return tokenizer_.decode(ids, options_);
}

/// The first `count` pending ids are out and become the context of the others.
void StreamingDecoder::move_context(size_t count) {
  const auto end = pending_.begin() + static_cast<std::ptrdiff_t>(count);
  context_.assign(pending_.begin(), end);
  pending_.erase(pending_.begin(), end);
}

}  // namespace martlet::text
