#include "text/utf8_repair.h"

#include <algorithm>

#include "base/utf8.h"

namespace martlet::text {

namespace {

/// The length of the maximal part at `at` that could begin a character but does not go on as one (Unicode
/// Standard, table 3-7).
size_t invalid_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0;
  };
  const int lead = byte(0);
  if (lead < 0xC2 || lead > 0xF4) return 1;
  const int low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const int high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high) return 1;
  const size_t whole = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  size_t length = 2;
  while (length < whole && (byte(length) & 0xC0) == 0x80) ++length;
  return length;
}

}  // namespace

AlignedText repair_utf8(std::string_view text, bool tracked) {
  AlignedText out({}, 0, tracked);
  out.text.reserve(text.size() + 16);
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    const size_t length = point.valid ? static_cast<size_t>(point.length) : invalid_length(text, at);
    const size_t before = out.text.size();
    append_utf8(out.text, point.valid ? point.value : U'\uFFFD');
    if (tracked) {
      out.origin.insert(out.origin.end(), out.text.size() - before,
                        {static_cast<uint32_t>(at), static_cast<uint32_t>(at + length)});
    }
    at += length;
  }
  return out;
}

}  // namespace martlet::text
