#pragma once

// Regular expressions of tokenizer.json files. They are written for Oniguruma (Ruby's syntax) and run here by
// PCRE2 with its just-in-time compiler; oniguruma.h says how one becomes the other.

#include <memory>
#include <string>
#include <string_view>

#include "base/function_ref.h"

namespace martlet::text {

/// A compiled pattern: a regular expression or a literal text. Thread-safe.
class Pattern {
 public:
  /// Throws BadInput, with `where` before it, for a broken expression and for one that cannot be translated
  /// exactly.
  static Pattern regex(std::string_view expression, std::string_view where);
  /// Matches `text` itself; an empty text matches between any two characters.
  static Pattern literal(std::string_view text);

  /// Calls `on_match(begin, end)` for each match, left to right, without overlap. `text` must be valid UTF-8.
  /// An empty match counts unless it follows directly upon the match before. Throws when the expression gives
  /// up (too much backtracking).
  void for_each(std::string_view text, FunctionRef<void(size_t begin, size_t end)> on_match) const;
  /// Whether there is a match.
  bool found_in(std::string_view text) const;

  /// The expression as it was given; empty for a literal.
  const std::string& expression() const { return expression_; }

 private:
  struct Compiled;
  Pattern() = default;
  void for_each_regex(std::string_view text, FunctionRef<bool(size_t begin, size_t end)> on_match) const;

  std::string expression_;
  std::string literal_;
  std::shared_ptr<const Compiled> compiled_;  // null for a literal
};

}  // namespace martlet::text
