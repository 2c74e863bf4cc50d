// Any bytes as rows of JSON, plain or packed: each is refused by an Error, or becomes a document that encodes
// or is refused.

#include "base/error.h"
#include "data/byte_stream.h"
#include "data/encoder.h"
#include "data/source.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace martlet;
  const MemoryFile file(data, size);
  const data::DocumentEncoder encoder(data::EncodeRules{.vocabulary = 1000});
  try {
    data::LineReader lines(data::open_byte_stream(file.path()), "fuzz", size_t{1} << 20);
    for (std::string line; lines.next(line);) {
      try {
        const data::Document document = data::document_of(Json::parse(line, "fuzz"), "fuzz");
        data::content_of(document);
        encoder.encode(document);
      } catch (const Error&) {
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
