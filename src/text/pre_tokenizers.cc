#include "text/pre_tokenizers.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/normalizers.h"
#include "text/splitter.h"

namespace martlet::text {

namespace {

/// Gives `text`, rewritten from `piece`, on as a piece.
Piece rewritten(const AlignedText& text) {
  return {text.text, text.tracked ? text.origin.data() : nullptr, text.base, text.tracked};
}

AlignedText copy_of(const Piece& piece) {
  return {piece.text, piece.origin, piece.base, piece.tracked};
}

class SplitPreTokenizer : public PreTokenizer {
 public:
  SplitPreTokenizer(Pattern pattern, SplitBehaviour behaviour, bool invert)
      : pattern_(std::move(pattern)),
        behaviour_(behaviour),
        invert_(invert),
        known_(known_word_pattern(pattern_.expression())) {}

  void split(const Piece& piece, PieceSink sink) const override {
    Splitter splitter(piece, behaviour_, sink);
    if (known_) {
      size_t at = 0;
      for_each_word(*known_, piece.text, [&](std::string_view word) {
        splitter.add(at, at + word.size(), !invert_);
        at += word.size();
      });
    } else {
      size_t done = 0;
      pattern_.for_each(piece.text, [&](size_t begin, size_t end) {
        if (begin != done) splitter.add(done, begin, invert_);
        splitter.add(begin, end, !invert_);
        done = end;
      });
      if (done != piece.text.size()) splitter.add(done, piece.text.size(), invert_);
    }
    splitter.finish();
  }

 private:
  Pattern pattern_;
  SplitBehaviour behaviour_;
  bool invert_;
  std::optional<WordPattern> known_;
};

/// Splits at the characters that `Matches` names.
template <typename Matches>
class CharacterSplit : public PreTokenizer {
 public:
  CharacterSplit(Matches matches, SplitBehaviour behaviour) : matches_(matches), behaviour_(behaviour) {}

  void split(const Piece& piece, PieceSink sink) const override {
    Splitter splitter(piece, behaviour_, sink);
    const std::string_view text = piece.text;
    size_t done = 0;
    for (size_t at = 0; at < text.size();) {
      const Utf8Character character = character_at(text.data() + at);
      const size_t end = at + character.length;
      if (matches_(character.value)) {
        if (done != at) splitter.add(done, at, false);
        splitter.add(at, end, true);
        done = end;
      }
      at = end;
    }
    if (done != text.size()) splitter.add(done, text.size(), false);
    splitter.finish();
  }

 private:
  Matches matches_;
  SplitBehaviour behaviour_;
};

class ByteLevelPreTokenizer : public PreTokenizer {
 public:
  ByteLevelPreTokenizer(bool add_prefix_space, bool split_words, bool write_alphabet)
      : add_prefix_space_(add_prefix_space), split_words_(split_words), write_alphabet_(write_alphabet) {}

  void split(const Piece& piece, PieceSink sink) const override {
    if (add_prefix_space_ && piece.text.front() != ' ') {
      AlignedText text = copy_of(piece);
      prepend(text, " ");
      cut(rewritten(text), sink);
    } else {
      cut(piece, sink);
    }
  }

 private:
  void cut(const Piece& piece, PieceSink sink) const {
    if (!split_words_) return give(piece, sink);
    size_t at = 0;
    for_each_word(WordPattern::kGpt2, piece.text, [&](std::string_view word) {
      give(piece.part(at, at + word.size()), sink);
      at += word.size();
    });
  }
  void give(const Piece& piece, PieceSink sink) const {
    if (!write_alphabet_) return sink(piece);
    AlignedText text = copy_of(piece);
    write_byte_alphabet(text);
    sink(rewritten(text));
  }

  bool add_prefix_space_, split_words_, write_alphabet_;
};

class MetaspacePreTokenizer : public PreTokenizer {
 public:
  MetaspacePreTokenizer(char32_t replacement, bool prepend_first, bool prepend_always, bool split)
      : prepend_first_(prepend_first), prepend_always_(prepend_always), split_(split) {
    append_utf8(replacement_, replacement);
  }

  bool needs_position() const override { return prepend_first_; }

  void split(const Piece& piece, PieceSink sink) const override {
    const bool has_space = piece.text.find(' ') != std::string_view::npos;
    const bool marked = piece.text.starts_with(replacement_) || piece.text.front() == ' ';
    const bool prepends = !marked && (prepend_always_ || (prepend_first_ && piece.original_begin() == 0));
    if (!has_space && !prepends) return cut(piece, sink);
    AlignedText text = copy_of(piece);
    if (has_space) replace_spaces(text);
    if (prepends) prepend(text, replacement_);
    cut(rewritten(text), sink);
  }

 private:
  void replace_spaces(AlignedText& text) const {
    Rewriter rewriter(text);
    for (std::string_view rest = rewriter.rest(); !rest.empty(); rest = rewriter.rest()) {
      const size_t space = std::min(rest.find(' '), rest.size());
      rewriter.keep(space);
      if (space == rest.size()) break;
      rewriter.drop(1);
      rewriter.insert(replacement_);
    }
    rewriter.finish();
  }
  /// Every replacement character begins a piece.
  void cut(const Piece& piece, PieceSink sink) const {
    if (!split_) return sink(piece);
    size_t begin = 0;
    for (size_t at = piece.text.find(replacement_, 1); at != std::string_view::npos;
         at = piece.text.find(replacement_, at + 1)) {
      sink(piece.part(begin, at));
      begin = at;
    }
    sink(piece.part(begin, piece.text.size()));
  }

  std::string replacement_;
  bool prepend_first_, prepend_always_, split_;
};

class WhitespacePreTokenizer : public PreTokenizer {
 public:
  void split(const Piece& piece, PieceSink sink) const override {
    const CodePointTable& table = code_points();
    const std::string_view text = piece.text;
    enum class Run { kSpaces, kWord, kOther } run = Run::kSpaces;
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
      const Utf8Character character = character_at(text.data() + at);
      const uint16_t traits = table.traits(character.value);
      const Run now = (traits & kWord) != 0    ? Run::kWord
                      : (traits & kSpace) != 0 ? Run::kSpaces
                                               : Run::kOther;
      if (now != run) {
        if (run != Run::kSpaces) sink(piece.part(begin, at));
        begin = at;
        run = now;
      }
      at += character.length;
    }
    if (run != Run::kSpaces) sink(piece.part(begin, text.size()));
  }
};

class FixedLengthPreTokenizer : public PreTokenizer {
 public:
  explicit FixedLengthPreTokenizer(int64_t characters) : characters_(characters) {}
  void split(const Piece& piece, PieceSink sink) const override {
    size_t begin = 0;
    int64_t count = 0;
    for (size_t at = 0; at < piece.text.size();) {
      at += character_length(piece.text[at]);
      if (++count < characters_ && at < piece.text.size()) continue;
      sink(piece.part(begin, at));
      begin = at;
      count = 0;
    }
  }

 private:
  int64_t characters_;
};

}  // namespace

bool PreTokenizerChain::needs_position() const {
  return std::any_of(parts.begin(), parts.end(), [](const auto& part) { return part->needs_position(); });
}

void PreTokenizerChain::split_from(size_t part, const Piece& piece, PieceSink sink) const {
  if (part == parts.size()) return sink(piece);
  parts[part]->split(piece, [&](const Piece& inner) { split_from(part + 1, inner, sink); });
}

std::unique_ptr<PreTokenizer> make_split(Pattern pattern, SplitBehaviour behaviour, bool invert) {
  return std::make_unique<SplitPreTokenizer>(std::move(pattern), behaviour, invert);
}

std::unique_ptr<PreTokenizer> make_byte_level(bool add_prefix_space, bool split_words, bool write_alphabet) {
  return std::make_unique<ByteLevelPreTokenizer>(add_prefix_space, split_words, write_alphabet);
}

std::unique_ptr<PreTokenizer> make_metaspace(char32_t replacement, bool prepend_first, bool prepend_always,
                                             bool split) {
  return std::make_unique<MetaspacePreTokenizer>(replacement, prepend_first, prepend_always, split);
}

std::unique_ptr<PreTokenizer> make_trait_split(unsigned trait, SplitBehaviour behaviour) {
  const auto matches = [trait, &table = code_points()](char32_t c) { return table.has(c, trait); };
  return std::make_unique<CharacterSplit<decltype(matches)>>(matches, behaviour);
}

std::unique_ptr<PreTokenizer> make_character_split(char32_t delimiter) {
  const auto matches = [delimiter](char32_t c) { return c == delimiter; };
  return std::make_unique<CharacterSplit<decltype(matches)>>(matches, SplitBehaviour::kRemoved);
}

std::unique_ptr<PreTokenizer> make_whitespace() {
  return std::make_unique<WhitespacePreTokenizer>();
}

std::unique_ptr<PreTokenizer> make_fixed_length(int64_t characters) {
  return std::make_unique<FixedLengthPreTokenizer>(characters);
}

}  // namespace martlet::text
