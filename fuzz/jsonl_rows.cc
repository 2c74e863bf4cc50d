// Any bytes as a source of rows of JSON, plain or packed: it is read up to the row that is refused, as
// training reads it, and each document that comes encodes or is refused.

#include "base/error.h"
#include "data/encoder.h"
#include "data/source.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace martlet;
  // A packed file of a hundred bytes can hold a hundred thousand good rows, which show no more than these.
  constexpr int kMostDocuments = 1000;
  const MemoryFile file(data, size);
  const data::DocumentEncoder encoder(data::EncodeRules{.vocabulary = 1000});
  data::ReadReport report;
  try {
    const auto reader = data::kJsonlSource.open(file.path(), true, {}, report);
    data::Document document;
    for (int i = 0; i < kMostDocuments && reader->next(document); ++i) {
      try {
        data::content_of(document);
        encoder.encode(document);
      } catch (const Error&) {
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
