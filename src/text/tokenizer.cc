#include "text/tokenizer.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/error.h"
#include "base/thread_pool.h"
#include "base/utf8.h"
#include "text/tokenizer_parts.h"
#include "text/utf8_repair.h"

namespace martlet::text {

namespace {

/// A workspace of the pool, for the time of one call.
class Lease {
 public:
  explicit Lease(WorkspacePool& pool)
      : pool_(pool), workspace_(pool.take()), exceptions_(std::uncaught_exceptions()) {}
  ~Lease() {
    // What an exception left half done is not used again.
    if (std::uncaught_exceptions() == exceptions_) pool_.give_back(std::move(workspace_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Workspace& operator*() const { return *workspace_; }

 private:
  WorkspacePool& pool_;
  std::unique_ptr<Workspace> workspace_;
  int exceptions_;
};

/// One encoding: added tokens in the text as given, normalisation, added tokens in that, pre-tokenizers, the
/// model.
class Encoder {
 public:
  Encoder(const TokenizerParts& parts, std::string_view text, const EncodeOptions& options,
          Workspace& workspace, std::vector<int32_t>& ids, std::vector<Offset>* offsets)
      : parts_(parts),
        text_(text),
        options_(options),
        workspace_(workspace),
        ids_(ids),
        offsets_(offsets),
        tracked_(offsets != nullptr || parts.pre_tokenizers.needs_position()) {}

  void run();

 private:
  void encode_text();
  void encode_part(const Piece& part);
  void encode_normalized(const Piece& piece);
  void encode_piece(const Piece& piece);
  void add_token(const AddedToken& token, const Piece& piece);
  void add_offset(const Piece& piece, Span span, std::string_view token);
  Offset trimmed(Offset offset, std::string_view token, bool first) const;

  const TokenizerParts& parts_;
  std::string_view text_;
  const EncodeOptions& options_;
  Workspace& workspace_;
  std::vector<int32_t>& ids_;
  std::vector<Offset>* offsets_;
  bool tracked_;
  size_t body_ = 0;  // where the tokens of the text begin
  std::vector<Span> spans_;
};

void Encoder::run() {
  ids_.reserve(ids_.size() + text_.size() / 4 + 8);
  bool encoded = false;
  size_t body_end = 0;
  for (const PostProcessor::Part& part : parts_.post_processor.parts()) {
    if (!part.is_text) {
      if (!options_.add_special_tokens) continue;
      ids_.insert(ids_.end(), part.ids.begin(), part.ids.end());
      if (offsets_ != nullptr) offsets_->resize(ids_.size());
    } else if (!std::exchange(encoded, true)) {
      body_ = ids_.size();
      encode_text();
      body_end = ids_.size();
    } else {  // a template that repeats the text
      for (size_t i = body_; i < body_end; ++i) {
        ids_.push_back(ids_[i]);
        if (offsets_ != nullptr) offsets_->push_back((*offsets_)[i]);
      }
    }
  }
}

void Encoder::encode_text() {
  if (text_.size() >= UINT32_MAX)
    bad_input("a text of {} bytes cannot be tokenized at once; cut it below 4 GiB", text_.size());
  std::optional<AlignedText> repaired;
  Piece whole{text_, nullptr, 0, tracked_};
  if (!is_valid_utf8(text_)) {
    repaired.emplace(repair_utf8(text_, tracked_));
    whole = {repaired->text, tracked_ ? repaired->origin.data() : nullptr, 0, tracked_};
  }
  parts_.added.cut_raw(whole.text, options_.split_special_tokens,
                       [&](size_t begin, size_t end, const AddedToken* token) {
                         if (token != nullptr) {
                           add_token(*token, whole.part(begin, end));
                         } else {
                           encode_part(whole.part(begin, end));
                         }
                       });
}

void Encoder::encode_part(const Piece& part) {
  if (parts_.normalizer == nullptr || !parts_.normalizer->may_change(part.text))
    return encode_normalized(part);
  AlignedText text(part.text, part.origin, part.base, tracked_);
  parts_.normalizer->apply(text);
  encode_normalized({text.text, tracked_ ? text.origin.data() : nullptr, text.base, tracked_});
}

void Encoder::encode_normalized(const Piece& piece) {
  parts_.added.cut_normalized(
      piece.text, options_.split_special_tokens, [&](size_t begin, size_t end, const AddedToken* token) {
        if (token != nullptr) return add_token(*token, piece.part(begin, end));
        parts_.pre_tokenizers.split(piece.part(begin, end), [&](const Piece& word) { encode_piece(word); });
      });
}

void Encoder::encode_piece(const Piece& piece) {
  TokenList out{ids_, offsets_ == nullptr ? nullptr : &spans_};
  const size_t before = ids_.size();
  spans_.clear();
  parts_.model->encode(piece.text, workspace_, out);
  if (offsets_ == nullptr) return;
  for (size_t i = 0; i < spans_.size(); ++i) {
    const Span span = spans_[i];
    const bool literal = parts_.model->tokens_are_text();
    add_offset(piece, span,
               literal ? piece.text.substr(span.begin, span.end - span.begin)
                       : parts_.vocabulary.token(ids_[before + i]));
  }
}

void Encoder::add_token(const AddedToken& token, const Piece& piece) {
  ids_.push_back(token.id);
  if (offsets_ != nullptr) add_offset(piece, {0, static_cast<uint32_t>(piece.text.size())}, piece.text);
}

void Encoder::add_offset(const Piece& piece, Span span, std::string_view token) {
  // Bytes of a suffix that the model put behind the piece lie outside it.
  const auto size = static_cast<uint32_t>(piece.text.size());
  span = {std::min(span.begin, size), std::min(span.end, size)};
  Offset offset{int64_t{piece.base} + span.begin, int64_t{piece.base} + span.end};
  if (piece.origin != nullptr) {
    offset = span.begin < span.end ? Offset{piece.origin[span.begin].begin, piece.origin[span.end - 1].end}
                                   : Offset{piece.origin[0].begin, piece.origin[0].begin};
  } else {
    // A token that holds a part of a character came from the whole of it.
    const auto inside = [&](int64_t at) {
      return at < static_cast<int64_t>(text_.size()) && is_continuation(text_[static_cast<size_t>(at)]);
    };
    while (inside(offset.begin)) --offset.begin;
    while (inside(offset.end)) ++offset.end;
  }
  if (parts_.post_processor.trims()) offset = trimmed(offset, token, offsets_->size() == body_);
  offsets_->push_back(offset);
}

/// Leaves out the white space at both ends of a token, but for the space that pre-tokenization put before the
/// text.
Offset Encoder::trimmed(Offset offset, std::string_view token, bool first) const {
  constexpr char32_t kSpaceOfAlphabet = 0x120;
  const auto blank = [](char32_t c) { return c == kSpaceOfAlphabet || code_points().has(c, kSpace); };
  int64_t leading = 0, trailing = 0;
  for (size_t at = 0; at < token.size() && blank(character_at(token.data() + at).value); ++leading) {
    at += character_length(token[at]);
  }
  for (size_t end = token.size(); end > 0; ++trailing) {
    const uint32_t length = character_length_before(token, end);
    if (!blank(character_at(token.data() + end - length).value)) break;
    end -= length;
  }
  if (leading == 1 && parts_.post_processor.added_prefix_space() && (first || offset.begin == 0)) leading = 0;
  const auto inside = [&](int64_t at) { return is_continuation(text_[static_cast<size_t>(at)]); };
  for (; leading > 0 && offset.begin < offset.end; --leading) {
    do ++offset.begin;
    while (offset.begin < offset.end && inside(offset.begin));
  }
  for (; trailing > 0 && offset.end > offset.begin; --trailing) {
    do --offset.end;
    while (offset.end > offset.begin && inside(offset.end));
  }
  return offset;
}

}  // namespace

std::unique_ptr<Workspace> WorkspacePool::take() {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty()) return std::make_unique<Workspace>();
  std::unique_ptr<Workspace> workspace = std::move(waiting_.back());
  waiting_.pop_back();
  return workspace;
}

void WorkspacePool::give_back(std::unique_ptr<Workspace> workspace) {
  constexpr size_t kLargest = size_t{1}
                              << 20;  // symbols or bytes; a giant word must not hold its memory for good
  if (workspace->merge.symbols.capacity() > kLargest) workspace->merge = {};
  if (workspace->paths.capacity() > kLargest) workspace->paths = {};
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(workspace));
}

int64_t TokenizerParts::size() const {
  const int64_t last = added.tokens().empty() ? -1 : added.tokens().back().id;
  return std::max(vocabulary.size(), last + 1);
}

std::optional<std::string_view> TokenizerParts::token_for_decoding(int32_t id) const {
  if (const AddedToken* token = added.find(id)) return added.normalized_form(*token);
  if (vocabulary.has(id)) return vocabulary.token(id);
  return std::nullopt;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<int32_t> ids;
  const Lease workspace(parts_->workspaces);
  Encoder(*parts_, text, options, *workspace, ids, nullptr).run();
  return ids;
}

Encoding Tokenizer::encode_with_offsets(std::string_view text, const EncodeOptions& options) const {
  Encoding encoding;
  const Lease workspace(parts_->workspaces);
  Encoder(*parts_, text, options, *workspace, encoding.ids, &encoding.offsets).run();
  return encoding;
}

std::vector<std::vector<int32_t>> Tokenizer::encode_batch(std::span<const std::string> texts,
                                                          const EncodeOptions& options) const {
  std::vector<std::vector<int32_t>> out(texts.size());
  parallel_for(static_cast<int64_t>(texts.size()), 1, [&](int64_t begin, int64_t end) {
    const Lease workspace(parts_->workspaces);
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      Encoder(*parts_, texts[i], options, *workspace, out[i], nullptr).run();
    }
  });
  return out;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, const DecodeOptions& options) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int32_t id : ids) {
    if (options.skip_special_tokens && is_special(id)) continue;
    if (const auto token = parts_->token_for_decoding(id)) tokens.emplace_back(*token);
  }
  if (tokens.empty()) return {};
  for (const auto& decoder : parts_->decoders) {
    if (!tokens.empty()) decoder->apply(tokens);
  }
  const std::string_view separator = parts_->decoders.empty() ? " " : "";
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) text += separator;
    text += tokens[i];
  }
  return text;
}

std::string Tokenizer::token(int64_t id) const {
  if (id >= 0 && id < vocabulary_size()) {
    if (const AddedToken* token = parts_->added.find(static_cast<int32_t>(id))) return token->content;
    if (parts_->vocabulary.has(id)) return std::string(parts_->vocabulary.token(id));
  }
  bad_input("there is no token with id {}; the vocabulary has {} ids", id, vocabulary_size());
}

std::optional<int32_t> Tokenizer::id(std::string_view token) const {
  if (const AddedToken* added = parts_->added.find(token)) return added->id;
  const int32_t found = parts_->vocabulary.find(token);
  return found == Vocabulary::kNone ? std::nullopt : std::optional(found);
}

int64_t Tokenizer::vocabulary_size() const {
  return parts_->size();
}

bool Tokenizer::is_special(int64_t id) const {
  if (id < 0 || id >= vocabulary_size()) return false;
  const AddedToken* token = parts_->added.find(static_cast<int32_t>(id));
  // A vocabulary may list a special token twice; the copy counts too.
  if (token == nullptr) token = parts_->added.find(parts_->vocabulary.token(id));
  return token != nullptr && token->special;
}

std::optional<int32_t> Tokenizer::bos() const {
  return parts_->special.bos;
}
std::optional<int32_t> Tokenizer::eos() const {
  return parts_->special.eos;
}
std::optional<int32_t> Tokenizer::unk() const {
  return parts_->special.unk;
}
std::optional<int32_t> Tokenizer::pad() const {
  return parts_->special.pad;
}
const std::string& Tokenizer::chat_template() const {
  return parts_->chat_template;
}

std::vector<Offset> character_offsets(std::string_view text, std::span<const Offset> offsets) {
  // characters[i]: how many characters begin before byte i.
  std::vector<int64_t> characters(text.size() + 1, 0);
  for (size_t i = 0; i < text.size(); ++i)
    characters[i + 1] = characters[i] + (is_continuation(text[i]) ? 0 : 1);
  const auto convert = [&](int64_t byte) {
    return characters[static_cast<size_t>(std::clamp<int64_t>(byte, 0, static_cast<int64_t>(text.size())))];
  };
  std::vector<Offset> out;
  out.reserve(offsets.size());
  for (const Offset& offset : offsets) out.push_back({convert(offset.begin), convert(offset.end)});
  return out;
}

}  // namespace martlet::text
