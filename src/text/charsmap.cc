#include "text/charsmap.h"

#include "base/error.h"
#include "base/utf8.h"
#include "text/unicode.h"

namespace martlet::text {

namespace {

// A unit of the trie: bit 8 says that a value hangs below, bits 10 and up (scaled by 256 when bit 9 is set)
// lead to the children, the low byte (with bit 31) is the label that must have led here.
bool has_value(uint32_t unit) {
  return (unit >> 8 & 1) == 1;
}
uint32_t value_of(uint32_t unit) {
  return unit & 0x7FFFFFFF;
}
uint32_t label_of(uint32_t unit) {
  return unit & 0x800000FF;
}
uint32_t children_of(uint32_t unit) {
  return (unit >> 10) << ((unit & (1U << 9)) >> 6);
}

uint32_t read_u32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i)
    value = value << 8 | static_cast<unsigned char>(bytes[at + static_cast<size_t>(i)]);
  return value;
}

}  // namespace

Charsmap::Charsmap(std::string_view bytes, std::string_view source) {
  if (bytes.size() < 4)
    bad_input("{}: the precompiled map has {} bytes, which is too short for its header", source,
              bytes.size());
  const size_t trie_bytes = read_u32(bytes, 0) / 4 * size_t{4};
  if (trie_bytes == 0 || trie_bytes > bytes.size() - 4) {
    bad_input("{}: the precompiled map says that its trie has {} bytes but {} follow", source, trie_bytes,
              bytes.size() - 4);
  }
  trie_.reserve(trie_bytes / 4);
  for (size_t at = 4; at < 4 + trie_bytes; at += 4) trie_.push_back(read_u32(bytes, at));
  replacements_ = bytes.substr(4 + trie_bytes);
  if (!is_valid_utf8(replacements_))
    bad_input("{}: the precompiled map's replacements are not valid UTF-8", source);
  for (uint32_t byte = 1; byte < 256; ++byte) {
    const size_t node = children_of(trie_[0]) ^ byte;
    begins_[byte] = node < trie_.size() && label_of(trie_[node]) == byte;
  }
}

std::optional<std::string_view> Charsmap::find(std::string_view text) const {
  size_t node = children_of(trie_[0]);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) return std::nullopt;
    node ^= byte;
    if (node >= trie_.size() || label_of(trie_[node]) != byte) return std::nullopt;
    const uint32_t unit = trie_[node];
    node ^= children_of(unit);
    if (!has_value(unit)) continue;
    if (node >= trie_.size()) return std::nullopt;
    const size_t begin = value_of(trie_[node]);
    if (begin >= replacements_.size()) return std::string_view();
    if (is_continuation(replacements_[begin])) return std::nullopt;
    const std::string_view rest = std::string_view(replacements_).substr(begin);
    return rest.substr(0, rest.find('\0'));
  }
  return std::nullopt;
}

std::optional<std::string> decode_base64(std::string_view text) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<int8_t, 256> value;
  value.fill(-1);
  for (size_t i = 0; i < kAlphabet.size(); ++i)
    value[static_cast<unsigned char>(kAlphabet[i])] = static_cast<int8_t>(i);
  if (text.size() % 4 != 0) return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && !text.empty() && text.back() == '=') {
    text.remove_suffix(1);
    ++padding;
  }
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int8_t six = value[static_cast<unsigned char>(c)];
    if (six < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<uint32_t>(six)) & 0xFFFFFF;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<char>(bits >> count & 0xFF));
    }
  }
  return out;
}

}  // namespace martlet::text
