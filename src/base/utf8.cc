#include "base/utf8.h"

#include <cstring>

namespace martlet {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

/// What stands at an offset: a character, or an ill-formed part of `length` bytes, the longest that could
/// still have begun a character ("maximal subpart"). `cut` says that the text ended inside what may be a
/// character.
struct Scan {
  char32_t value;
  size_t length;
  bool valid;
  bool cut;
};

/// The bytes of a character by its first byte and the allowed range of the second (Unicode Standard, table
/// 3-7).
struct Lead {
  size_t length;
  unsigned char low;
  unsigned char high;
};

Lead lead_of(unsigned char byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

Scan scan(std::string_view text, size_t offset) {
  const auto byte_at = [&](size_t i) { return static_cast<unsigned char>(text[offset + i]); };
  const unsigned char first = byte_at(0);
  if (first < 0x80) return {first, 1, true, false};
  const Lead lead = lead_of(first);
  if (lead.length == 0) return {kReplacement, 1, false, false};
  char32_t value = first & (0x7Fu >> lead.length);
  for (size_t i = 1; i < lead.length; ++i) {
    if (offset + i == text.size()) return {kReplacement, i, false, true};
    const unsigned char byte = byte_at(i);
    const unsigned char low = i == 1 ? lead.low : 0x80;
    const unsigned char high = i == 1 ? lead.high : 0xBF;
    if (byte < low || byte > high) return {kReplacement, i, false, false};
    value = (value << 6) | (byte & 0x3Fu);
  }
  return {value, lead.length, true, false};
}

/// The first offset at or after `offset` that holds a byte above 0x7F, or the size.
size_t skip_ascii(std::string_view text, size_t offset) {
  while (offset + 8 <= text.size()) {
    uint64_t word;
    std::memcpy(&word, text.data() + offset, 8);
    if (word & 0x8080808080808080u) break;
    offset += 8;
  }
  while (offset < text.size() && static_cast<unsigned char>(text[offset]) < 0x80) ++offset;
  return offset;
}

}  // namespace

CodePoint decode_utf8(std::string_view text, size_t offset) {
  const Scan found = scan(text, offset);
  return {found.value, found.valid ? static_cast<int>(found.length) : 1, found.valid};
}

void append_utf8(std::string& out, char32_t code_point) {
  const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  const char32_t c = surrogate || code_point > 0x10FFFF ? kReplacement : code_point;
  if (c < 0x80) {
    out += static_cast<char>(c);
    return;
  }
  if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
  } else {
    if (c < 0x10000) {
      out += static_cast<char>(0xE0 | (c >> 12));
    } else {
      out += static_cast<char>(0xF0 | (c >> 18));
      out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
    }
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
  }
  out += static_cast<char>(0x80 | (c & 0x3F));
}

bool is_valid_utf8(std::string_view text) {
  size_t offset = skip_ascii(text, 0);
  while (offset < text.size()) {
    const Scan found = scan(text, offset);
    if (!found.valid) return false;
    offset = skip_ascii(text, offset + found.length);
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t offset = 0;
  while (offset < text.size()) {
    const size_t ascii_end = skip_ascii(text, offset);
    out.append(text, offset, ascii_end - offset);
    offset = ascii_end;
    if (offset == text.size()) break;
    const Scan found = scan(text, offset);
    if (found.valid) {
      out.append(text, offset, found.length);
    } else {
      append_utf8(out, kReplacement);
    }
    offset += found.length;
  }
  return out;
}

size_t complete_utf8_prefix(std::string_view text) {
  // An incomplete character is at most three bytes: its first byte and up to two more.
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const size_t offset = text.size() - back;
    if ((static_cast<unsigned char>(text[offset]) & 0xC0) == 0x80) continue;
    const Scan found = scan(text, offset);
    return found.cut && found.length == back ? offset : text.size();
  }
  return text.size();
}

}  // namespace martlet
