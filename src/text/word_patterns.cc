#include "text/word_patterns.h"

#include <array>

#include "text/unicode.h"

namespace martlet::text {

namespace {

struct Expression {
  WordPattern pattern;
  std::string_view text;
};

// The first of each kind is the one that others are compared with; the rest mean the same.
constexpr std::array kExpressions = {
    Expression{WordPattern::kGpt2,
               R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    Expression{
        WordPattern::kLlama3,
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    Expression{
        WordPattern::kQwen2,
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    Expression{
        WordPattern::kGpt4o,
        R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    Expression{
        WordPattern::kTekken,
        R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    Expression{
        WordPattern::kLlama3,
        R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"},
    Expression{
        WordPattern::kQwen2,
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}};

/// Walks over one text. `at` is the beginning of the match to come.
class Walker {
 public:
  explicit Walker(std::string_view text)
      : table_(code_points()), begin_(text.data()), end_(text.data() + text.size()) {}

  const char* begin() const { return begin_; }
  const char* end() const { return end_; }

  /// The traits of the character at `at`, and where the next begins. At the end: no traits, no progress.
  uint16_t look(const char* at, const char*& next) const {
    if (at == end_) {
      next = at;
      return 0;
    }
    const Utf8Character character = character_at(at);
    next = at + character.length;
    return table_.traits(character.value);
  }
  /// The end of the run of characters with any of `wanted` from `at` on.
  const char* run(const char* at, unsigned wanted) const {
    const char* next = at;
    while (at != end_ && (look(at, next) & wanted) != 0) at = next;
    return at;
  }
  /// The end of the run of characters with none of `unwanted` from `at` on.
  const char* run_without(const char* at, unsigned unwanted) const {
    const char* next = at;
    while (at != end_ && (look(at, next) & unwanted) == 0) at = next;
    return at;
  }
  bool is(const char* at, char c) const { return at != end_ && *at == c; }

  const char* contraction(const char* at, bool any_case) const;
  const char* space(const char* at, bool lines_together) const;
  const char* cased_word(const char* at) const;

 private:
  const char* cased_run(const char* at) const;

  const CodePointTable& table_;
  const char* begin_;
  const char* end_;
};

/// 's|'t|'re|'ve|'m|'ll|'d, or null. In any case, the long s (U+017F) is an s too.
const char* Walker::contraction(const char* at, bool any_case) const {
  if (!is(at, '\'') || end_ - at < 2) return nullptr;
  const auto letter = [any_case](char c) {
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = letter(at[1]);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if (end_ - at < 3) return nullptr;
  const char second = letter(at[2]);
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l'))
    return at + 3;
  if (any_case && at[1] == '\xC5' && at[2] == '\xBF') return at + 3;
  return nullptr;
}

/// \s*[\r\n]+|\s+(?!\S)|\s+ (without the first where lines do not stand together), or `at` where no space is.
const char* Walker::space(const char* at, bool lines_together) const {
  const char* last = at;             // where the last character of the run begins
  const char* after_line = nullptr;  // behind the last line end of the run
  const char* now = at;
  const char* next = at;
  while (now != end_ && (look(now, next) & kSpace) != 0) {
    if (*now == '\n' || *now == '\r') after_line = next;
    last = now;
    now = next;
  }
  if (lines_together && after_line != nullptr) return after_line;
  // The last space goes with the word that follows, unless it is the only one.
  return now == end_ || last == at ? now : last;
}

// Sets of o200k: U is upper, title, modifier and other letters and marks; W is lower, modifier and other
// letters and marks. A letter that is neither upper nor lower is in both, as are marks.
bool in_u(uint16_t traits) {
  return (traits & (kLetter | kMark)) != 0 && (traits & kLower) == 0;
}
bool in_w(uint16_t traits) {
  return (traits & (kLetter | kMark)) != 0 && (traits & kUpperOrTitle) == 0;
}

/// U*W+ from `at`, with backtracking, or null.
const char* Walker::cased_run(const char* at) const {
  const char* now = at;
  const char* next = at;
  const char* after_shared = nullptr;  // behind the last character of the run that is in W too
  uint16_t traits = look(now, next);
  while (now != end_ && in_u(traits)) {
    if (in_w(traits)) after_shared = next;
    now = next;
    traits = look(now, next);
  }
  const char* behind = now;
  while (now != end_ && in_w(traits)) {
    now = next;
    traits = look(now, next);
  }
  if (now != behind) return now;
  return after_shared;  // U* gives back its tail up to there
}

/// [^\r\n\p{L}\p{N}]?U*W+ or else [^\r\n\p{L}\p{N}]?U+W*, or null.
const char* Walker::cased_word(const char* at) const {
  const char* next = at;
  const uint16_t traits = look(at, next);
  const bool prefix = at != end_ && (traits & (kLetter | kNumber)) == 0 && *at != '\r' && *at != '\n';
  if (prefix) {
    if (const char* found = cased_run(next)) return found;
  }
  if (const char* found = cased_run(at)) return found;
  // No W anywhere: what is left is a run of upper-case letters.
  const char* from = prefix ? next : at;
  const char* now = from;
  const char* after = from;
  while (now != end_ && in_u(look(now, after))) now = after;
  return now == from ? nullptr : now;
}

const char* match_gpt2(const Walker& walker, const char* at) {
  if (const char* found = walker.contraction(at, false)) return found;
  const char* body = walker.is(at, ' ') ? at + 1 : at;
  const char* next = body;
  const uint16_t traits = walker.look(body, next);
  if (next != body) {
    if ((traits & kLetter) != 0) return walker.run(next, kLetter);
    if ((traits & kNumber) != 0) return walker.run(next, kNumber);
    if ((traits & kSpace) == 0) return walker.run_without(next, kSpace | kLetter | kNumber);
  }
  return walker.space(at, false);
}

/// What follows the words in the newer expressions: digits, then other characters with line ends, then
/// spaces.
const char* match_rest(const Walker& walker, const char* at, int digits, bool slashes) {
  const char* next = at;
  const uint16_t traits = walker.look(at, next);
  if ((traits & kNumber) != 0) {
    const char* end = next;
    for (int i = 1; i < digits && (walker.look(end, next) & kNumber) != 0; ++i) end = next;
    return end;
  }
  const char* body = walker.is(at, ' ') ? at + 1 : at;
  const char* end = walker.run_without(body, kSpace | kLetter | kNumber);
  if (end == body) return walker.space(at, true);
  while (walker.is(end, '\r') || walker.is(end, '\n') || (slashes && walker.is(end, '/'))) ++end;
  return end;
}

const char* match_llama3(const Walker& walker, const char* at, int digits) {
  if (const char* found = walker.contraction(at, true)) return found;
  const char* next = at;
  const uint16_t traits = walker.look(at, next);
  if ((traits & kLetter) != 0) return walker.run(next, kLetter);
  if ((traits & kNumber) == 0 && *at != '\r' && *at != '\n') {
    const char* end = walker.run(next, kLetter);
    if (end != next) return end;
  }
  return match_rest(walker, at, digits, false);
}

const char* match_cased(const Walker& walker, const char* at, int digits, bool contractions) {
  if (const char* end = walker.cased_word(at)) {
    const char* longer = contractions ? walker.contraction(end, true) : nullptr;
    return longer != nullptr ? longer : end;
  }
  return match_rest(walker, at, digits, true);
}

template <typename Match>
void walk(std::string_view text, FunctionRef<void(std::string_view)> on_word, Match match) {
  const Walker walker(text);
  for (const char* at = walker.begin(); at != walker.end();) {
    const char* end = match(walker, at);
    on_word(std::string_view(at, static_cast<size_t>(end - at)));
    at = end;
  }
}

}  // namespace

std::optional<WordPattern> known_word_pattern(std::string_view expression) {
  for (const Expression& known : kExpressions) {
    if (known.text == expression) return known.pattern;
  }
  return std::nullopt;
}

std::string_view expression_of(WordPattern pattern) {
  for (const Expression& known : kExpressions) {
    if (known.pattern == pattern) return known.text;
  }
  return {};
}

void for_each_word(WordPattern pattern, std::string_view text, FunctionRef<void(std::string_view)> on_word) {
  switch (pattern) {
    case WordPattern::kGpt2:
      return walk(text, on_word, match_gpt2);
    case WordPattern::kLlama3:
      return walk(text, on_word, [](const Walker& w, const char* at) { return match_llama3(w, at, 3); });
    case WordPattern::kQwen2:
      return walk(text, on_word, [](const Walker& w, const char* at) { return match_llama3(w, at, 1); });
    case WordPattern::kGpt4o:
      return walk(text, on_word, [](const Walker& w, const char* at) { return match_cased(w, at, 3, true); });
    case WordPattern::kTekken:
      return walk(text, on_word,
                  [](const Walker& w, const char* at) { return match_cased(w, at, 1, false); });
  }
}

}  // namespace martlet::text
