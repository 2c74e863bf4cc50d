// Any bytes as a tokenizer.json, and behind a zero byte a text (without one, a fixed text): refused by an
// Error, or the text is encoded, its offsets lie within it, and its ids are decoded, at once and one by one.

#include "text/tokenizer.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/utf8.h"

namespace {

using martlet::text::Tokenizer;

constexpr std::string_view kText =
    "The quick brown fox's 1234 jumps;\r\n\n  over <s>the\tlazy</s> dog. \xC3\xA9te\xCC\x81 "
    "\xE4\xB8\xAD\xE6\x96\x87\xE3\x80\x82\xF0\x9F\x91\x8D\xFF [MASK] \xE2\x96\x81x";

void use(const Tokenizer& tokenizer, std::string_view text) {
  const martlet::text::Encoding encoding = tokenizer.encode_with_offsets(text);
  if (encoding.offsets.size() != encoding.ids.size()) std::abort();
  for (const martlet::text::Offset& offset : encoding.offsets) {
    if (offset.begin < 0 || offset.begin > offset.end || offset.end > static_cast<int64_t>(text.size()))
      std::abort();
  }
  if (tokenizer.encode(text) != encoding.ids) std::abort();
  for (const int32_t id : encoding.ids) {
    if (id < 0 || id >= tokenizer.vocabulary_size()) std::abort();
  }
  if (!martlet::is_valid_utf8(tokenizer.decode(encoding.ids))) std::abort();
  martlet::text::StreamingDecoder decoder(tokenizer);
  for (const int32_t id : encoding.ids) {
    if (!martlet::is_valid_utf8(decoder.add(id))) std::abort();
  }
  decoder.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t zero = input.find('\0');
  const std::string_view text = zero == std::string_view::npos ? kText : input.substr(zero + 1);
  try {
    use(Tokenizer::from_json(martlet::Json::parse(input.substr(0, zero), "fuzz"), "fuzz"), text);
  } catch (const martlet::Error&) {
  }
  return 0;
}
