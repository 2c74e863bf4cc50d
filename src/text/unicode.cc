#include "text/unicode.h"

#include <algorithm>
#include <cstring>
#include <utf8proc.h>
#include <utility>

#include "text/unicode_exceptions.h"

namespace martlet::text {

namespace {

// Above the last assigned ideograph nothing is assigned but the tags and variation selectors of plane 14 and
// the private planes 15 and 16, whose last two code points are none. All other pages there share one.
constexpr uint32_t kPages = 0x1100;
constexpr uint32_t kFirstSharedPage = 0x324;
constexpr uint32_t kPrivatePages = 0xF00;

bool is_shared(uint32_t page) {
  return page >= kFirstSharedPage && page != 0xE00 && page != 0xE01 && page != 0xFFF && page != 0x10FF;
}

Category plain_category(char32_t c) {
  return static_cast<Category>(utf8proc_category(static_cast<utf8proc_int32_t>(c)));
}

uint16_t traits_of(char32_t c, Category category) {
  const auto between = [category](Category first, Category last) {
    return category >= first && category <= last;
  };
  unsigned traits = 0;
  if (between(Category::kLu, Category::kLo)) traits |= kLetter;
  if (between(Category::kNd, Category::kNo)) traits |= kNumber | kNumeric;
  if (between(Category::kMn, Category::kMe)) traits |= kMark | kCombiningMark;
  if (category == Category::kLu || category == Category::kLt) traits |= kUpperOrTitle;
  if (category == Category::kLl) traits |= kLower;
  if (between(Category::kZs, Category::kZp) || (c >= 9 && c <= 13) || c == 0x85) traits |= kSpace;
  if ((traits & (kLetter | kMark)) != 0 || between(Category::kNd, Category::kPc)) traits |= kWord;
  if (category == Category::kNo) traits &= ~unsigned{kWord};
  if (category == Category::kMn) traits |= kBertAccent;
  if (between(Category::kPc, Category::kPo)) traits |= kBertPunctuation;
  if (c < 0x80 && between(Category::kSm, Category::kSo)) traits |= kBertPunctuation;  // $ + < = > ^ ` | ~
  if (between(Category::kCc, Category::kCf) || category == Category::kCo) traits |= kBertControl;
  return static_cast<uint16_t>(traits);
}

}  // namespace

CodePointTable::CodePointTable() {
  std::vector<uint32_t> real_pages;
  for (uint32_t page = 0; page < kPages; ++page) {
    if (is_shared(page)) continue;
    page_[page] = static_cast<uint16_t>(real_pages.size());
    real_pages.push_back(page);
  }
  const auto add_shared = [&](Category category) {
    for (int i = 0; i < 256; ++i) {
      category_.push_back(category);
      traits_.push_back(traits_of(0x40000, category));
    }
    return static_cast<uint16_t>(category_.size() / 256 - 1);
  };
  category_.reserve((real_pages.size() + 2) * 256);
  traits_.reserve(category_.capacity());
  for (const uint32_t page : real_pages) {
    for (char32_t c = page * 256; c < page * 256 + 256; ++c) category_.push_back(plain_category(c));
  }
  for (const CategoryRange& range : categories_after_unicode15()) {
    for (char32_t c = range.first; c <= range.last; ++c) category_[slot(c)] = range.category;
  }
  for (const uint32_t page : real_pages) {
    for (char32_t c = page * 256; c < page * 256 + 256; ++c)
      traits_.push_back(traits_of(c, category_[slot(c)]));
  }
  const uint16_t unassigned = add_shared(Category::kCn);
  const uint16_t private_use = add_shared(Category::kCo);
  for (uint32_t page = 0; page < kPages; ++page) {
    if (is_shared(page)) page_[page] = page >= kPrivatePages ? private_use : unassigned;
  }

  const auto change = [this](std::span<const CodePointRange> ranges, unsigned set, unsigned clear) {
    for (const CodePointRange& range : ranges) {
      for (char32_t c = range.first; c <= range.last; ++c) {
        uint16_t& traits = traits_[slot(c)];
        traits = static_cast<uint16_t>((traits | set) & ~clear);
      }
    }
  };
  change(unknown_to_pcre(), kNewerThanPcre, 0);
  change(marks_after_unicode9(), 0, kCombiningMark);
  change(accents_unknown_to_bert(), 0, kBertAccent);
  change(punctuation_unknown_to_bert(), 0, kBertPunctuation);
  change(word_symbols(), kWord, 0);
  // Single code points whose category changed: what the older tables said of them.
  const CodePointRange vedic_signs[] = {{0x1CF2, 0x1CF3}};
  const CodePointRange former_accents[] = {{0x1734, 0x1734}, {0x1171E, 0x1171E}};
  const CodePointRange former_punctuation[] = {{0x166D, 0x166D}, {0x111C9, 0x111C9}};
  const CodePointRange replacement[] = {{0xFFFD, 0xFFFD}};
  const CodePointRange kept_controls[] = {{0x9, 0xA}, {0xD, 0xD}, {0x890, 0x8E2}, {0x110CD, 0x1343F}};
  const CodePointRange digits_of_unicode17[] = {{0x11DE0, 0x11DE9}, {0x16FF4, 0x16FF6}};
  // PCRE2 counts U+180E as a space, as Unicode did before version 6.3.
  const CodePointRange former_space[] = {{0x180E, 0x180E}};
  change(vedic_signs, kCombiningMark, 0);
  change(former_accents, kBertAccent, 0);
  change(former_punctuation, kBertPunctuation, 0);
  change(replacement, kBertControl, 0);
  change(kept_controls, 0, kBertControl);
  change(digits_of_unicode17, kNumeric, 0);
  change(former_space, kNewerThanPcre, 0);
}

const CodePointTable& code_points() {
  static const CodePointTable table;
  return table;
}

LowerCase lower_case(char32_t c) {
  if (c < 0x80) return {c >= 'A' && c <= 'Z' ? c + 32 : c, 0};
  if (c == 0x130) return {'i', 0x307};
  for (const CaseRange& range : lower_case_after_unicode15()) {
    if (c >= range.first && c <= range.last)
      return {static_cast<char32_t>(static_cast<int32_t>(c) + range.offset), 0};
  }
  return {static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), 0};
}

int64_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return !is_continuation(byte); });
}

size_t ascii_prefix(std::string_view text) {
  size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    if ((word & 0x8080808080808080ULL) != 0) break;
  }
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

}  // namespace martlet::text
