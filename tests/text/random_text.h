#pragma once

// Random texts and vocabularies for the tests of this room.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/utf8.h"

namespace martlet::text {

/// A sequence of random numbers.
class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed, stream_of("text tests")) {}
  uint64_t below(uint64_t bound) { return random_.below(index_++, bound); }
  template <typename T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

 private:
  Philox random_;
  uint64_t index_ = 0;
};

/// A code point of a kind that tokenizers treat in a way of its own: letters of several cases, marks, digits,
/// spaces, signs, emoji, new and unassigned ones.
inline char32_t random_code_point(Dice& dice) {
  struct Range {
    char32_t first, last;
  };
  static const std::vector<Range> ranges = {
      {0x20, 0x7E},       {0x20, 0x7E},       {'a', 'z'},         {'A', 'Z'},         {'0', '9'},
      {0x09, 0x0D},       {' ', ' '},         {0x00, 0x1F},       {0xA0, 0x24F},      {0x300, 0x36F},
      {0x370, 0x3FF},     {0x591, 0x5C7},     {0x600, 0x6FF},     {0x900, 0x97F},     {0x1100, 0x11FF},
      {0x1C80, 0x1C8F},   {0x1E00, 0x1EFF},   {0x2000, 0x206F},   {0x2150, 0x218F},   {0x24B0, 0x24EF},
      {0x3000, 0x30FF},   {0x4E00, 0x4EFF},   {0xAC00, 0xAC80},   {0xE000, 0xE008},   {0xFB00, 0xFB4F},
      {0xFE00, 0xFE0F},   {0x10D40, 0x10D8F}, {0x16D40, 0x16D80}, {0x1D400, 0x1D7FF}, {0x1F130, 0x1F190},
      {0x1F300, 0x1F6FF}, {0x20000, 0x20010}, {0x2EBF0, 0x2EBFF}, {0xE0100, 0xE0110}};
  const Range& range = dice.pick(ranges);
  return range.first + static_cast<char32_t>(dice.below(range.last - range.first + 1));
}

/// Valid UTF-8 of up to `most` parts: words, contractions, runs, random characters.
inline std::string random_text(Dice& dice, uint64_t most = 12) {
  static const std::vector<std::string> words = {
      "the",    " the",         "The",    "HELLO",      "heLLo",  "don't", "I'LL",    "'S",    "it'\u017F",
      "'",      "''re",         " 's",    "12",         "123456", "é",     "e\u0301", "ﬁ",     "中文",
      "가",     "\u1100\u1161", " ",      "  ",         "   ",    "\n",    "\r\n",    "\n\n ", "\t",
      "\u00A0", "\u3000",       "\u2028", "...",        "!?",     "/*/",   "_",       "a_b",   "▁",
      "Ġ",      "<s>",          "</s>",   "👩\u200D🔬", "½",      "x²",    "ⓐ",       "\u180E"};
  std::string text;
  for (uint64_t parts = dice.below(most + 1); parts > 0; --parts) {
    if (dice.below(2) == 0) {
      text += dice.pick(words);
    } else {
      const char32_t c = random_code_point(dice);
      for (uint64_t times = dice.below(8) == 0 ? dice.below(20) : 1; times > 0; --times) append_utf8(text, c);
    }
  }
  return text;
}

/// Any bytes.
inline std::string random_bytes(Dice& dice, uint64_t most) {
  std::string bytes;
  for (uint64_t left = dice.below(most + 1); left > 0; --left)
    bytes.push_back(static_cast<char>(dice.below(256)));
  return bytes;
}

/// A word over the first `letters` letters.
inline std::string random_word(Dice& dice, uint64_t least, uint64_t most, uint64_t letters) {
  std::string word;
  for (uint64_t left = least + dice.below(most - least + 1); left > 0; --left) {
    word.push_back(static_cast<char>('a' + dice.below(letters)));
  }
  return word;
}

}  // namespace martlet::text
