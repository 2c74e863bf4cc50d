#include "text/byte_alphabet.h"

#include "base/utf8.h"

namespace martlet::text {

namespace {

struct ByteAlphabet {
  std::array<char32_t, 256> character;
  std::array<int16_t, 0x144> byte;  // the last character is U+0143

  ByteAlphabet() {
    byte.fill(-1);
    char32_t next = 0x100;
    for (char32_t b = 0; b < 256; ++b) {
      const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      character[b] = printable ? b : next++;
      byte[character[b]] = static_cast<int16_t>(b);
    }
  }
};

const ByteAlphabet& alphabet() {
  static const ByteAlphabet instance;
  return instance;
}

}  // namespace

const std::array<char32_t, 256>& byte_alphabet() {
  return alphabet().character;
}

std::optional<unsigned char> byte_of(char32_t c) {
  const ByteAlphabet& table = alphabet();
  if (c >= table.byte.size() || table.byte[c] < 0) return std::nullopt;
  return static_cast<unsigned char>(table.byte[c]);
}

std::optional<std::string> bytes_of_token(std::string_view token) {
  std::string bytes;
  bytes.reserve(token.size());
  for (size_t at = 0; at < token.size();) {
    const Utf8Character character = character_at(token.data() + at);
    const auto byte = byte_of(character.value);
    if (!byte) return std::nullopt;
    bytes.push_back(static_cast<char>(*byte));
    at += character.length;
  }
  return bytes;
}

std::string token_of_bytes(std::string_view bytes) {
  std::string token;
  token.reserve(bytes.size() * 2);
  for (const char byte : bytes) append_utf8(token, byte_alphabet()[static_cast<unsigned char>(byte)]);
  return token;
}

void write_byte_alphabet(AlignedText& text) {
  Rewriter rewriter(text);
  for (std::string_view rest = rewriter.rest(); !rest.empty(); rest = rewriter.rest()) {
    const std::string_view bytes = rest.substr(0, character_length(rest.front()));
    for (size_t i = 0; i < bytes.size(); ++i) {
      rewriter.put(byte_alphabet()[static_cast<unsigned char>(bytes[i])], i == 0 ? 0 : 1);
    }
  }
  rewriter.finish();
}

}  // namespace martlet::text
