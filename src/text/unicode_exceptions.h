#pragma once

// Where the Unicode versions of utf8proc, PCRE2 and the published vocabularies differ. Internal to
// unicode.cc.

#include <span>

#include "text/unicode.h"

namespace martlet::text {

struct CodePointRange {
  char32_t first;
  char32_t last;
};
struct CategoryRange {
  char32_t first;
  char32_t last;
  Category category;
};
struct CaseRange {
  char32_t first;
  char32_t last;
  int32_t offset;
};

/// Code points whose category in Unicode 16 differs from utf8proc's Unicode 15.
std::span<const CategoryRange> categories_after_unicode15();
/// Upper-case letters of Unicode 16 and 17 that utf8proc does not know, with the distance to their lower
/// case.
std::span<const CaseRange> lower_case_after_unicode15();
/// Code points that PCRE2 10.42 (Unicode 14) does not know; gaps between them are unassigned.
std::span<const CodePointRange> unknown_to_pcre();
/// Marks that no table of the time of Unicode 9 knew; between them stand no other marks.
std::span<const CodePointRange> marks_after_unicode9();
/// Nonspacing marks unknown to the table behind Bert's accent stripping.
std::span<const CodePointRange> accents_unknown_to_bert();
/// Punctuation unknown to the table behind Bert's punctuation.
std::span<const CodePointRange> punctuation_unknown_to_bert();
/// Alphabetic symbols that count as word characters: circled and squared letters.
std::span<const CodePointRange> word_symbols();

}  // namespace martlet::text
