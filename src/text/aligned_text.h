#pragma once

// A text under normalisation, and for each of its bytes the part of the original text that it came from.
//
// Alignment follows one rule for every normaliser: a new character either replaces characters of the old
// text, and takes the alignment of the first, or is inserted, and takes the alignment of the old character
// before it.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/unicode.h"

namespace martlet::text {

/// Bytes [begin, end) of the original text.
struct Span {
  uint32_t begin = 0;
  uint32_t end = 0;
  friend bool operator==(const Span&, const Span&) = default;
};

struct AlignedText {
  std::string text;          ///< valid UTF-8
  std::vector<Span> origin;  ///< one a byte of `text`; empty when nobody asks for offsets
  uint32_t base = 0;         ///< where the part of the original text begins that this came from
  bool tracked = false;      ///< whether `origin` is kept

  /// `text` stands at `base` in the original text, unchanged so far.
  AlignedText(std::string_view text, uint32_t base, bool tracked);
  AlignedText(std::string_view text, const Span* origin, uint32_t base, bool tracked);
};

/// Rewrites an AlignedText from left to right. Old characters are consumed by keep, drop and put; the new
/// text takes the place of the old when `finish` is called.
class Rewriter {
 public:
  explicit Rewriter(AlignedText& target);

  /// Old bytes not consumed yet.
  std::string_view rest() const { return std::string_view(target_.text).substr(at_); }
  /// Copies the next `bytes` old bytes; ends at a character boundary.
  void keep(size_t bytes);
  /// Consumes the next `bytes` old bytes without output.
  void drop(size_t bytes) { at_ += bytes; }
  /// Writes `c`: with change 0 in place of the next old character; with change -n also consuming n characters
  /// after that; with a positive change as an insertion.
  void put(char32_t c, int change);
  /// Writes `content`, aligned with the last consumed old character.
  void insert(std::string_view content);
  void finish();

 private:
  Span before() const;

  AlignedText& target_;
  std::string text_;
  std::vector<Span> origin_;
  size_t at_ = 0;
};

}  // namespace martlet::text
