#pragma once

// The 256 characters by which byte-level vocabularies write bytes (GPT-2): printable Latin-1 stands for
// itself, the others follow from U+0100 on in order.

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "text/aligned_text.h"

namespace martlet::text {

/// The character of each byte.
const std::array<char32_t, 256>& byte_alphabet();
/// The byte that a character stands for.
std::optional<unsigned char> byte_of(char32_t c);
/// The bytes that `token` stands for; nothing when a character of it is not of the alphabet.
std::optional<std::string> bytes_of_token(std::string_view token);
/// Writes `bytes` in the alphabet.
std::string token_of_bytes(std::string_view bytes);
/// Rewrites a text in the alphabet: the characters of one old character share its alignment.
void write_byte_alphabet(AlignedText& text);

}  // namespace martlet::text
