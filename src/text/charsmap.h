#pragma once

// The normaliser that SentencePiece models carry as data: a trie from strings to replacements.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace martlet::text {

/// Format: the trie's size in bytes (u32, little endian), a double-array trie of 32-bit units, then the
/// replacements, each ended by a zero byte; a value of the trie is the offset of its replacement.
class Charsmap {
 public:
  /// Throws BadInput when `bytes` is no such map.
  Charsmap(std::string_view bytes, std::string_view source);

  /// The replacement of the shortest key that begins `text`, or nothing.
  std::optional<std::string_view> find(std::string_view text) const;
  /// True when no key begins with this ASCII character.
  bool leaves(char ascii) const { return !begins_[static_cast<unsigned char>(ascii)]; }

 private:
  std::vector<uint32_t> trie_;
  std::string replacements_;
  std::array<bool, 256> begins_{};
};

/// Standard base64 with padding; nothing when `text` is not that.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace martlet::text
